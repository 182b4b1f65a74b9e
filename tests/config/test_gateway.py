"""config/gateway.py: a request takes a thread once its body is here, and a body has its limits."""

import asyncio
import threading

import pytest

from config import gateway
from people import proxy_faults, request_limits

LARGE = 2 * request_limits.SMALL
SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/",
    "query_string": b"",
    "http_version": "1.1",
    "scheme": "http",
    "server": ("127.0.0.1", 8000),
    "client": ("192.0.2.7", 4711),
}

NO_HEADERS = {"headers": []}


class Whole(list):
    """A response that is there at once, as Django's are."""

    streaming = False


class Echo:
    """An application that answers with the body that it was given."""

    def __init__(self):
        self.environs, self.sizes, self.threads = [], [], set()

    def __call__(self, environ, start_response):
        self.environs.append(environ)
        self.threads.add(threading.current_thread().name)
        body = environ["wsgi.input"].read()
        self.sizes.append(len(body))
        start_response(
            f"{environ.get(request_limits.REFUSED, 200)} said", [("Content-Type", "text/plain")]
        )
        return Whole([body[:100]])


class Client:
    """One connection: `parts` of a body arrive at once, then nothing more, unless at the `end`."""

    def __init__(self, *parts, end=True, leaves=False, reads=None, **headers):
        self.scope = SCOPE | {
            "headers": [
                (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
            ]
        }
        self.messages = [
            {"type": "http.request", "body": part, "more_body": True} for part in parts
        ]
        if end and self.messages:
            self.messages[-1]["more_body"] = False
        if leaves:
            self.messages.append({"type": "http.disconnect"})
        self.reads, self.taken, self.sent = reads, 0, []

    async def receive(self):
        if not self.messages:
            await asyncio.Event().wait()
        self.taken += 1
        return self.messages.pop(0)

    async def send(self, message):
        if self.reads is not None and len(self.sent) >= self.reads:
            await asyncio.Event().wait()
        self.sent.append(message)

    async def ask(self, served):
        await served(self.scope, self.receive, self.send)
        return self

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.sent)


def ask(client, application, largest=lambda environ: LARGE):
    async def once():
        return await asyncio.wait_for(client.ask(gateway.Gateway(application, largest)), 60)

    return asyncio.run(once())


def test_a_body_arrives_whole():
    application = Echo()

    client = ask(Client(b"one ", b"two", content_length="7"), application)

    assert (client.status, client.body) == (200, b"one two")
    assert application.environs[0]["CONTENT_LENGTH"] == "7"


def test_a_body_is_not_waited_for_beyond_its_length():
    """The server says only by a message of its own that a body has ended: one turn of the loop."""
    client = ask(Client(b"one ", b"two", end=False, content_length="7"), Echo())

    assert (client.status, client.body) == (200, b"one two")


def test_a_body_of_unknown_length_has_one_for_the_application():
    application = Echo()

    ask(Client(b"one ", b"two", transfer_encoding="chunked"), application)

    assert application.environs[0]["CONTENT_LENGTH"] == "7"


def test_connections_that_send_nothing_more_take_no_thread():
    application = Echo()

    async def meet():
        served = gateway.Gateway(application, lambda environ: LARGE)
        slow = [Client(b"ten bytes.", end=False, content_length="100000") for _ in range(40)]
        waiting = [asyncio.create_task(client.ask(served)) for client in slow]
        while not all(client.taken for client in slow):
            await asyncio.sleep(0)
        client = await asyncio.wait_for(Client().ask(served), 60)
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        return client

    assert asyncio.run(meet()).status == 200
    assert len(application.environs) == 1


def test_a_body_that_does_not_arrive_is_refused_in_words(monkeypatch):
    monkeypatch.setattr(gateway, "BODY_SECONDS", 0.05)
    application = Echo()

    client = ask(Client(b"ten bytes.", end=False, content_length="100000"), application)

    assert (client.status, application.sizes) == (408, [0])
    assert (b"connection", b"close") in client.sent[0]["headers"]


def test_who_leaves_before_the_end_has_asked_for_nothing():
    application = Echo()

    client = ask(
        Client(b"half of it", end=False, leaves=True, transfer_encoding="chunked"), application
    )

    assert (application.environs, client.sent) == ([], [])


def test_a_body_that_is_announced_as_too_large_is_not_read():
    application = Echo()

    client = ask(Client(b"1", content_length=str(1_500_000_000)), application)

    assert (client.status, client.taken, application.sizes) == (413, 0, [0])


def test_a_body_of_unknown_length_is_read_no_further_than_its_limit():
    application, mb = Echo(), b"m" * 2**20

    client = ask(Client(*[mb] * 100, transfer_encoding="chunked"), application)

    assert (client.status, application.sizes) == (413, [0])
    assert client.taken == LARGE // 2**20 + 1


@pytest.mark.parametrize(
    "headers", [{"content_length": str(LARGE)}, {"transfer_encoding": "chunked"}]
)
def test_who_may_send_a_large_body_is_asked_only_about_large_ones(headers):
    asked = []

    def largest(environ):
        asked.append(environ["PATH_INFO"])
        return LARGE

    half = b"m" * (LARGE // 2)
    application = Echo()
    ask(Client(b"small", content_length="5"), application, largest)
    assert asked == []

    client = ask(Client(half, half, **headers), application, largest)
    assert (client.status, application.sizes, asked) == (200, [5, LARGE], ["/"])


def test_a_stream_that_nobody_reads_ends(monkeypatch):
    monkeypatch.setattr(gateway, "READER_SECONDS", 0.05)
    closed = []

    def stream():
        try:
            while True:
                yield b"more"
        finally:
            closed.append(True)

    def application(environ, start_response):
        start_response("200 OK", [])
        return stream()

    client = ask(Client(reads=3), application)

    assert (len(client.sent), closed) == (3, [True])


class Download:
    """An application that answers with a file of twelve bytes, which the server reads in threes."""

    def __init__(self, path):
        self.path, self.opened = path, []
        path.write_bytes(b"twelve bytes")

    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Length", "12")])
        self.opened.append(self.path.open("rb"))
        return environ["wsgi.file_wrapper"](self.opened[-1], 4096)


def test_files_that_are_not_read_hold_no_thread(monkeypatch, tmp_path):
    monkeypatch.setattr(gateway, "BLOCK", 3)
    application = Download(tmp_path / "file")

    async def meet():
        served = gateway.Gateway(application, lambda environ: LARGE)
        waiting = [asyncio.create_task(Client(reads=1).ask(served)) for _ in range(40)]
        while len(application.opened) < 40:
            await asyncio.sleep(0.01)
        client = await asyncio.wait_for(Client().ask(served), 60)
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        return client

    assert asyncio.run(meet()).body == b"twelve bytes"


def test_a_file_that_nobody_reads_on_is_closed(monkeypatch, tmp_path):
    monkeypatch.setattr(gateway, "BLOCK", 3)
    monkeypatch.setattr(gateway, "READER_SECONDS", 0.05)
    application = Download(tmp_path / "file")

    client = ask(Client(reads=3), application)

    assert client.body == b"twelve"
    assert application.opened[0].closed


def test_a_crash_in_the_middle_of_a_stream_reaches_the_server():
    """Which then ends the connection: the client must not take half a download for all of it."""

    def application(environ, start_response):
        start_response("200 OK", [])
        return (1 / number for number in (1, 0))

    with pytest.raises(ZeroDivisionError):
        ask(Client(), application)


def test_the_head_of_a_request_is_as_wsgi_wants_it():
    application, client = Echo(), Client()
    client.scope |= {
        "path": "/é",
        "query_string": b"a=%20",
        "headers": [
            (b"cookie", b"a=1"),
            (b"cookie", b"b=2"),
            (b"x-real", b"yes"),
            (b"x_real", b"no"),
            (b"content-type", b"t"),
        ],
    }

    ask(client, application)

    environ = application.environs[0]
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/é"
    assert (environ["QUERY_STRING"], environ["REMOTE_ADDR"]) == ("a=%20", "192.0.2.7")
    assert (environ["HTTP_COOKIE"], environ["HTTP_X_REAL"], environ["CONTENT_TYPE"]) == (
        "a=1; b=2",
        "yes",
        "t",
    )


def test_a_process_that_is_replaced_keeps_no_connection_open():
    async def once(served):
        return (await Client().ask(served)).sent[0]["headers"]

    served = gateway.Gateway(Echo(), lambda environ: LARGE)
    before = asyncio.run(once(served))
    served.leaves = True
    after = asyncio.run(once(served))

    assert (b"connection", b"close") not in before
    assert (b"connection", b"close") in after


@pytest.mark.parametrize(
    ("requested", "seen"),
    [
        ("/podium", "/"),
        ("/podium/", "/"),
        ("/podium/p/demo/", "/p/demo/"),
        ("/podium/podium/", "/podium/"),
        ("/podium/caf\u00e9", "/caf\u00c3\u00a9"),
    ],
)
def test_the_path_of_the_site_is_taken_off_once(requested, seen):
    environ = gateway.below("/podium", gateway.as_environ(SCOPE | {"path": requested} | NO_HEADERS))

    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/podium", seen)
    assert proxy_faults.OUTSIDE not in environ


@pytest.mark.parametrize("requested", ["/", "/login/", "/podiumx/", "/Podium/"])
def test_what_is_beside_the_path_of_the_site_is_said_to_be(requested):
    environ = gateway.below("/podium", gateway.as_environ(SCOPE | {"path": requested} | NO_HEADERS))

    assert environ["PATH_INFO"] == requested
    assert environ[proxy_faults.OUTSIDE]
