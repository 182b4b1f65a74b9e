"""On SQLite, writers of one process queue for one lock; readers do not."""

import threading

import pytest
from django.db import connection, transaction

from people.models import Project
from people.sqlite import base

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
    project = Project.objects.create(slug="one", name="One", k=2, overlap=1)

    def bump():
        for _ in range(5):
            with transaction.atomic():
                row = Project.objects.get(pk=project.pk)
                row.overlap += 1
                row.save(update_fields=["overlap"])

    for thread in [in_thread(bump) for _ in range(40)]:
        thread.join()

    project.refresh_from_db()
    assert project.overlap == 201
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
        reader.join(timeout=5)

    assert seen == ["Seen"]
