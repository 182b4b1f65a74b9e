"""The database's clock decides who is late: a host whose own clock is wrong takes nothing alive.

On PostgreSQL the clock is the server's. On SQLite, which has one host, these tests say what time
the database has.
"""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from labeling.models import Assignment, Writing
from labeling.queue import claims, leases
from labeling.writing import drafts
from modelops import jobs
from people import outbox
from people.db import clock
from people.models import Delivery, Project
from people.webhooks import registry
from tests.factories import make_job, make_prompt, make_task
from workers.queues import sweep

pytestmark = pytest.mark.django_db
WRONG = pytest.mark.parametrize("hours", [-1, 1], ids=["behind", "ahead"])


@pytest.fixture(autouse=True)
def database_clock(monkeypatch):
    monkeypatch.setattr(clock, "_reading", None)
    if connection.vendor == "postgresql":
        clock.read()
    else:
        clock.set_to(timezone.now())


@pytest.fixture
def shift(monkeypatch):
    """A function that sets this process's clock wrong."""

    def by(**time):
        class Wrong(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.now(tz) + timedelta(**time)

        monkeypatch.setattr(timezone, "datetime", Wrong)

    return by


@WRONG
def test_a_live_job_is_not_taken_over(project, shift, hours):
    job = make_job(project, state="queued")
    assert jobs.claim_next({job.kind}).pk == job.pk

    shift(hours=hours)
    assert abs(timezone.now() - clock.now()) > timedelta(minutes=59)
    assert jobs.claim_next({job.kind}) is None
    assert not jobs.runnable({job.kind}).exists()


@WRONG
def test_a_heartbeat_of_a_wrong_clock_counts_for_others(project, shift, hours):
    make_job(project, state="queued")
    shift(hours=hours)
    job = jobs.claim_next({"sample"})
    jobs.beat(job, done=1)
    job.refresh_from_db()

    assert abs(job.heartbeat_at - clock.now()) < timedelta(minutes=1)
    assert job not in jobs.runnable({job.kind})


def test_a_silent_job_is_taken_over_by_a_host_whose_clock_is_behind(project, shift, settings):
    job = make_job(project, state="queued")
    jobs.claim_next({job.kind})
    silent = clock.now() - timedelta(seconds=settings.SILENT_SECONDS + 1)
    type(job).objects.update(heartbeat_at=silent)

    shift(hours=-1)
    assert jobs.claim_next({job.kind}).pk == job.pk


@WRONG
def test_a_lease_lives_as_long_as_the_database_says(project, alice, bob, shift, hours):
    make_task(project)
    held = claims.next_for(project.memberships.get(user=alice))

    shift(hours=hours)
    sweep()
    assert claims.next_for(project.memberships.get(user=alice)) == held
    leases.renew(held)
    held.refresh_from_db()
    lease = timedelta(minutes=project.rules.lease_minutes)
    assert abs(held.leased_until - clock.now() - lease) < timedelta(minutes=1)
    assert Assignment.objects.get().state == "leased"


@WRONG
def test_what_is_being_sent_is_not_sent_twice(project, carol, shift, hours):
    registry.make(carol, project, "https://example.org/", ["dataset.frozen"])
    registry.emit(Project.objects.get(), "dataset.frozen", "datasets/7", dataset=7)
    delivery = Delivery.objects.get()
    assert outbox.claim(Delivery, delivery.pk)

    shift(hours=hours)
    assert not outbox.due(Delivery).exists()
    assert not outbox.claim(Delivery, delivery.pk)


def test_who_writes_a_text_keeps_it(project, alice, shift):
    wish = Writing.objects.create(
        project=project,
        prompt=make_prompt(project),
        kind=Writing.Kind.DEMONSTRATION,
        labeler=alice,
        state=Writing.State.WRITING,
        saved_at=clock.now(),
    )

    shift(days=3)
    drafts.expire(project)
    wish.refresh_from_db()
    assert wish.state == "writing"


def test_the_time_between_two_readings_is_counted(monkeypatch):
    before = clock.now()
    monkeypatch.setattr(clock.time, "clock_gettime", lambda _: 1000.0)
    clock.set_to(before)
    monkeypatch.setattr(clock.time, "clock_gettime", lambda _: 1007.5)

    assert clock.now() - before == timedelta(seconds=7.5)
