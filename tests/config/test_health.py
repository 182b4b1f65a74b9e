"""/livez, /readyz and /healthz say what is missing, and no part of it holds them up."""

import shutil
from collections import namedtuple
from threading import Event

import pytest
import redis
from django.db import OperationalError, connection
from django.test import Client

from config import health
from modelops import liveness, store

pytestmark = pytest.mark.django_db(transaction=True)
Usage = namedtuple("Usage", "total used free")
ALL = {"default": 1, "sampling": 1, "training": 2}


class Broker:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def ping(self):
        return True


@pytest.fixture(autouse=True)
def parts(monkeypatch):
    """All is there."""
    monkeypatch.setattr(liveness, "broker", Broker)
    monkeypatch.setattr(liveness, "alive", lambda client: ALL)


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


def get(path):
    response = Client().get(path)
    return response.status_code, response.json()


def test_all_is_there():
    ready = {"ok": True, "database": "ok", "broker": "ok", "store": "ok", "disk": "ok"}

    assert get("/livez") == (200, {"ok": True})
    assert get("/readyz") == (200, ready)
    assert get("/healthz") == (200, ready | {"workers": ALL})


def test_a_process_lives_whatever_is_missing(monkeypatch):
    for name in ("_database", "_broker", "_store", "_disk", "_workers"):
        monkeypatch.setattr(health, name, raising(AssertionError))

    assert get("/livez") == (200, {"ok": True})


@pytest.mark.parametrize("path", ["/readyz", "/healthz"])
@pytest.mark.parametrize(
    ("place", "error", "part", "says"),
    [
        ((connection.__class__, "cursor"), OperationalError("x"), "database", "OperationalError"),
        ((liveness, "broker"), redis.ConnectionError("x"), "broker", "ConnectionError"),
        ((store, "check"), store.Unreachable("x"), "store", "Unreachable"),
        ((shutil, "disk_usage"), OSError("x"), "disk", "OSError"),
    ],
)
def test_what_is_missing_is_named(monkeypatch, path, place, error, part, says):
    owner, name = place
    if part == "database":
        monkeypatch.setattr(health, "connection", Away(error))
    else:
        monkeypatch.setattr(owner, name, raising(error))
    status, state = get(path)

    assert (status, state["ok"], state[part]) == (503, False, f"not reached ({says})")


class Away:
    """A connection to a database that is away."""

    def __init__(self, error):
        self.cursor = raising(error)

    def close(self):
        pass


def test_a_full_disk_is_named(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12, 3 * 10**6))
    status, state = get("/healthz")

    assert (status, state["disk"]) == (503, "full (3 MB free)")


@pytest.mark.parametrize("part", ["database", "broker", "disk"])
def test_what_hangs_is_left_after_a_while(monkeypatch, part):
    over = Event()
    monkeypatch.setattr(health, "SECONDS", 0.2)
    monkeypatch.setattr(health, f"_{part}", over.wait)
    status, state = get("/readyz")
    over.set()

    assert (status, state[part]) == (503, "no answer within 0.2 seconds")


def test_a_missing_worker_is_no_fault_of_the_web_process(monkeypatch):
    monkeypatch.setattr(liveness, "alive", lambda client: ALL | {"training": 0})

    assert get("/readyz")[0] == 200
    assert get("/healthz") == (
        503,
        {
            "ok": False,
            "database": "ok",
            "broker": "ok",
            "store": "ok",
            "disk": "ok",
            "workers": ALL | {"training": 0},
        },
    )
