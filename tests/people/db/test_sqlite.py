"""On SQLite, writers queue for one lock, first those of a process, then the processes; readers do
not.
"""

import fcntl
import os
import threading

import pytest
from django.db import OperationalError, connection, transaction

from people.db.sqlite import base
from people.models import Project

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL locks rows"),
]


def in_thread(body):
    def run():
        try:
            body()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_forty_writers_lose_nothing():
    project = Project.objects.create(slug="one", name="1")

    def bump():
        for _ in range(5):
            with transaction.atomic():
                row = Project.objects.get(pk=project.pk)
                row.name = str(int(row.name) + 1)
                row.save(update_fields=["name"])

    for thread in [in_thread(bump) for _ in range(40)]:
        thread.join()

    project.refresh_from_db()
    assert project.name == "201"
    assert not base._write_lock.locked()


@pytest.mark.parametrize("how", ["commit", "rollback", "close", "single"])
def test_the_lock_is_given_back(how):
    if how == "single":
        Project.objects.filter(slug="none").update(name="x")
    elif how == "close":
        connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
        assert base._write_lock.locked()
        connection.close()
    else:
        try:
            with transaction.atomic():
                assert base._write_lock.locked()
                if how == "rollback":
                    raise RuntimeError
        except RuntimeError:
            pass
    assert not base._write_lock.locked()


def test_a_reader_does_not_wait_for_a_writer():
    Project.objects.create(slug="seen", name="Seen")
    seen = []
    with transaction.atomic():
        Project.objects.filter(slug="seen").update(name="Changed")
        reader = in_thread(lambda: seen.append(Project.objects.get(slug="seen").name))
        reader.join(timeout=60)

    assert seen == ["Seen"]


@pytest.fixture
def another_process():
    """Holds the lock of all processes, as another one would: by a descriptor of its own."""
    held = os.open(f"{connection.settings_dict['NAME']}-writer", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    yield held
    os.close(held)


def test_a_writer_waits_for_another_process(another_process):
    threading.Timer(0.2, fcntl.flock, (another_process, fcntl.LOCK_UN)).start()
    Project.objects.create(slug="late", name="Late")
    assert Project.objects.filter(slug="late").exists()


def test_a_process_that_writes_for_too_long_is_named(another_process, monkeypatch):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.05)
    with pytest.raises(OperationalError, match="another process"), transaction.atomic():
        pass
    fcntl.flock(another_process, fcntl.LOCK_UN)
    Project.objects.create(slug="after", name="After")
    assert not base._write_lock.locked()


def test_a_process_that_waits_is_next_however_many_threads_another_has(monkeypatch):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.05)
    turnstile = os.open(f"{connection.settings_dict['NAME']}-next", os.O_RDWR | os.O_CREAT)
    fcntl.flock(turnstile, fcntl.LOCK_EX)  # as another process does that waits for its turn
    with pytest.raises(OperationalError, match="another process"), transaction.atomic():
        pass
    os.close(turnstile)
    with transaction.atomic():
        waiting = os.open(f"{connection.settings_dict['NAME']}-next", os.O_RDWR | os.O_CREAT)
        fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a writer does not stand in it
        os.close(waiting)
    assert not base._write_lock.locked()
