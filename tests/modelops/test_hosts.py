"""What administrators of the site see of the hosts, and how workers write it."""

from datetime import timedelta
from uuid import uuid4

import pytest
import redis
from django.db import DatabaseError
from django.utils.timezone import now

from modelops import hosts, liveness
from modelops.liveness import Process
from modelops.models import Worker
from people.models import User
from tests.factories import make_job, make_person, make_project
from tests.pages import one_line
from workers import heartbeat
from workers.queues import sweep, tidy

pytestmark = pytest.mark.django_db


@pytest.fixture
def living(monkeypatch) -> set[Process]:
    """The worker processes that have a key in the broker."""
    processes: set[Process] = set()
    monkeypatch.setattr(liveness, "processes", lambda: processes)
    return processes


@pytest.fixture
def olga(db) -> User:
    """An administrator of the site."""
    return make_person(name="olga", is_staff=True)


@pytest.fixture
def browser(client_for, olga):
    return client_for(olga)


def worker(name: str, pid: int = 7, **fields) -> Worker:
    usual = {
        "host": name.partition("@")[2],
        "queues": [name.partition("@")[0].partition("-")[0]],
        "devices": ["cpu"],
        "code": hosts.code(),
        "torch": "2.9.0",
    }
    times = dict.fromkeys(("started_at", "changed_at", "seen_at"), now())
    return Worker.objects.create(name=name, pid=pid, **usual | times | fields)


def running(project, machine: str, kind: str = "reward", **fields):
    claim = {"claim": uuid4(), "heartbeat_at": now(), "started_at": now()}
    return make_job(project, kind, state="running", machine=machine, **claim | fields)


# The page


def test_it_shows_the_workers_their_devices_and_versions(browser, living):
    worker("training@box-1", 12, devices=["0", "1"])
    worker("sampling@box-2", 13, code="of-yesterday")
    living |= {Process("training@box-1", 12)}
    text = one_line(browser.get("/hosts/"))

    assert 'box-1 <span class="state done"> at work </span>' in text
    assert "2 GPUs: 0, 1" in text
    assert "training@box-1 <small>process 12</small>" in text
    assert "2.9.0" in text
    assert 'box-2 <span class="state failed"> gone </span>' in text
    assert 'of-yesterday <span class="alias">differs from this page' in text
    assert text.count("differs from this page") == 1


def test_a_new_process_of_the_same_name_is_not_the_one_that_died(browser, living):
    worker("training@box-1", 12)
    living |= {Process("training@box-1", 13)}

    assert "gone" in one_line(browser.get("/hosts/"))


def test_it_shows_the_jobs_at_work_and_links_those_that_one_may_open(
    browser, living, olga, project
):
    worker("training@box-1")
    living |= {Process("training@box-1", 7)}
    assert "No job is at work here." in one_line(browser.get("/hosts/"))

    other = make_project(slug="other", name="Other")
    mine = running(project, "box-1", devices="cpu", done=1, total=4)
    theirs = running(other, "box-1", "sample")
    running(project, "box-2")
    project.memberships.create(user=olga, role="admin")
    text = one_line(browser.get("/hosts/"))

    assert f'<a href="/p/demo/jobs/{mine.pk}/">' in text
    assert "Demo · 25 % · box-1 · processor" in text
    assert f"/p/other/jobs/{theirs.pk}/" not in text
    assert "Other · 0 %" in text
    assert text.count("<li>") == 2


def test_without_workers_it_says_how_to_start_some(browser, living):
    text = one_line(browser.get("/hosts/"))

    assert "No worker has started yet." in text
    assert "make up ROLES=default,sampling,training" in text


def test_without_a_broker_nobody_is_said_to_be_gone(browser, monkeypatch):
    def away():
        raise redis.ConnectionError

    monkeypatch.setattr(liveness, "processes", away)
    worker("training@box-1")
    text = one_line(browser.get("/hosts/"))

    assert "The broker is not reached" in text
    assert "box-1" in text
    assert "gone" not in text


def test_many_hosts_take_as_many_queries_as_one(
    browser, living, project, django_assert_num_queries
):
    def make(box):
        living.add(Process(worker(f"training@{box}").name, 7))
        worker(f"sampling@{box}", 8)
        running(project, box)

    make("box-0")
    with django_assert_num_queries(7):
        assert len(browser.get("/hosts/").context["hosts"]) == 1
    for number in range(1, 41):
        make(f"box-{number}")
    with django_assert_num_queries(7):
        assert len(browser.get("/hosts/").context["hosts"]) == 30
    with django_assert_num_queries(7):
        assert len(browser.get("/hosts/?page=2").context["hosts"]) == 11


@pytest.mark.parametrize("address", ["/hosts/", "/api/v1/workers"])
def test_only_administrators_of_the_site_see_it(client_for, carol, living, address):
    worker("training@box-1")
    answer = client_for(carol).get(address)

    assert answer.status_code == 403
    assert "box-1" not in answer.content.decode()


# The API


def test_the_api_lists_workers_with_their_jobs(browser, living, project):
    worker("training@box-1")
    worker("sampling@box-1", 8, devices=[])
    worker("training@box-2", 9)
    living |= {Process("training@box-1", 7)}
    job = running(project, "box-1")
    rows = browser.get("/api/v1/workers").json()["results"]

    told = {row["name"]: (row["lives"], row["jobs"]) for row in rows}
    assert told == {
        "training@box-1": (True, [job.pk]),
        "sampling@box-1": (False, []),
        "training@box-2": (False, []),
    }
    [row] = browser.get("/api/v1/workers?host=box-2").json()["results"]
    assert (row["pid"], row["queues"], row["devices"]) == (9, ["training"], ["cpu"])


# What workers and sweeps write


class Waits:
    """The event that ends a worker's threads, after some rounds of them."""

    def __init__(self, rounds: int, between=lambda round: None):
        self.rounds, self.round, self.between = rounds, 0, between

    def is_set(self) -> bool:
        return self.round == self.rounds

    def wait(self, seconds: float) -> None:
        self.round += 1
        self.between(self.round)


class Queues:
    def __init__(self, *names: str):
        self.consume_from = dict.fromkeys(names)


@pytest.fixture
def stays_connected(monkeypatch):
    """The threads of a worker close their connection; here it is the test's."""
    monkeypatch.setattr(heartbeat.connection, "close", lambda: None)


def test_a_worker_writes_its_row_at_its_start_and_on_change_alone(
    monkeypatch, settings, stays_connected, django_assert_num_queries
):
    settings.DEVICES = "0,1"
    written, note = [], hosts.note
    monkeypatch.setattr(hosts, "note", lambda about: (written.append(about), note(about)))

    def change(round):
        if round == 3:
            settings.DEVICES = "0"

    monkeypatch.setattr(heartbeat, "_over", Waits(6, change))
    heartbeat._describe(Process("training@box-1", 12), Queues("training"))

    [row] = Worker.objects.all()
    assert [about.devices for about in written] == [("0", "1"), ("0",)]
    assert (row.name, row.pid, row.queues, row.devices) == (
        "training@box-1",
        12,
        ["training"],
        ["0"],
    )
    assert (row.code, bool(row.torch)) == (hosts.code(), True)
    assert row.started_at < row.changed_at


def test_a_worker_that_starts_again_takes_its_row(monkeypatch, stays_connected):
    for pid in (12, 13):
        monkeypatch.setattr(heartbeat, "_over", Waits(1))
        heartbeat._describe(Process("default@box-1", pid), Queues("default"))

    [row] = Worker.objects.all()
    assert (row.pid, row.devices, row.torch) == (13, [], "")


def test_a_worker_whose_database_is_away_writes_its_row_later(monkeypatch, stays_connected, caplog):
    note, tries = hosts.note, []

    def away_at_first(about):
        tries.append(about)
        if len(tries) < 3:
            raise DatabaseError("the database is away")
        note(about)

    monkeypatch.setattr(hosts, "note", away_at_first)
    monkeypatch.setattr(heartbeat, "_over", Waits(5))
    heartbeat._describe(Process("default@box-1", 12), Queues("default"))

    assert (len(tries), Worker.objects.count()) == (3, 1)
    assert "trying again: the database is away" in caplog.text


def test_a_sweep_notes_who_lives_and_who_is_gone_for_long_is_forgotten(living, settings):
    long_ago = now() - timedelta(days=settings.KEEP_DAYS + 1)
    lives, gone = (worker(f"training@box-{n}", seen_at=long_ago) for n in (1, 2))
    living |= {Process(lives.name, lives.pid)}
    sweep()
    tidy()

    assert [row.name for row in Worker.objects.all()] == [lives.name]
    assert Worker.objects.get().seen_at > long_ago + timedelta(days=1)


def test_keys_in_the_broker_name_queue_worker_and_process(monkeypatch):
    processes = [Process("training-2@box-1.example", 12), Process("default@box-2", 9)]
    keys = [
        liveness.key("training", processes[0]),
        liveness.key("default", processes[1]),
        liveness.key("sampling", processes[1]),
    ]

    class Broker:
        def __enter__(self):
            return self

        def __exit__(self, *about):
            pass

        def scan_iter(self, match, count):
            return [key.encode() for key in keys]

    monkeypatch.setattr(liveness, "broker", Broker)
    assert liveness.processes() == set(processes)
    assert liveness.alive(Broker()) == {"sampling": 1, "training": 1, "default": 1}
