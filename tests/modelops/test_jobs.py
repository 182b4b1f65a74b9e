"""The table is the queue: one claim wins, silence is noticed, and who lost writes nothing."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils.timezone import now

from modelops import jobs, recipes
from modelops.models import Job, LogLine, Metric
from tests.factories import make_person, make_project

pytestmark = pytest.mark.django_db
ALL = set(Job.Kind)


def ask(project, kind="freeze", **links):
    return jobs.request(None, project, kind, {}, **links)


def silence(job):
    Job.objects.filter(pk=job.pk).update(heartbeat_at=now() - timedelta(hours=1))


def test_a_job_is_claimed_once():
    job = ask(make_project())

    assert jobs.claim_next(ALL) == job
    assert jobs.claim_next(ALL) is None


def test_smaller_priority_runs_first():
    project = make_project()
    ask(project)
    urgent = ask(project, priority=-1)

    assert jobs.claim_next(ALL) == urgent


def test_a_job_waits_for_the_one_it_follows():
    project = make_project()
    first = ask(project)
    second = ask(project, after=first, priority=-5)

    assert jobs.claim_next(ALL) == first
    assert jobs.claim_next(ALL) is None
    with jobs.running(Job.objects.get(pk=first.pk)):
        pass
    assert jobs.claim_next(ALL) == second


def test_who_went_silent_is_taken_over_and_writes_nothing_more():
    job = ask(make_project())
    lost = jobs.claim_next(ALL)
    silence(job)
    taken = jobs.claim_next(ALL)

    with pytest.raises(jobs.LostClaim):
        jobs.beat(lost, done=5)
    jobs.end(lost, Job.State.FAILED, error="should not be written")
    jobs.end(taken, Job.State.DONE)

    job.refresh_from_db()
    assert (job.state, job.done, job.error) == ("done", 0, "")


def test_the_third_lost_attempt_fails_the_job():
    job = ask(make_project())
    for _ in range(jobs.ATTEMPTS):
        assert jobs.claim_next(ALL) == job
        silence(job)

    assert jobs.claim_next(ALL) is None
    job.refresh_from_db()
    assert job.state == "failed"
    assert "3 times" in job.error


def test_an_error_is_kept_in_words():
    job = ask(make_project())
    with jobs.running(jobs.claim_next(ALL)):
        raise jobs.JobFailed("Upload the file again.")

    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", "Upload the file again.")


def test_a_crash_is_tried_again_and_then_fails():
    job = ask(make_project())
    for _ in range(jobs.ATTEMPTS):
        job.refresh_from_db()
        assert job.state == "queued"
        with jobs.running(jobs.claim_next(ALL)):
            raise jobs.Crashed("It was killed.")

    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", "It was killed.")


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_at_its_next_beat():
    project = make_project()
    admin = make_person(project, "admin")
    waiting, running = ask(project), ask(project, priority=-1)
    claimed = jobs.claim_next(ALL)
    for job in (waiting, running, running):
        jobs.cancel(admin, job)

    with jobs.running(claimed):
        jobs.beat(claimed)

    assert [Job.objects.get(pk=job.pk).state for job in (waiting, running)] == [
        "cancelled",
        "cancelled",
    ]


def test_a_cancelled_job_resumes_from_the_queue():
    project = make_project()
    admin = make_person(project, "admin")
    job = ask(project)
    jobs.cancel(admin, job)

    jobs.resume(admin, job)

    assert jobs.claim_next(ALL) == job


def test_a_worker_that_is_told_to_end_gives_its_job_back_uncounted(monkeypatch):
    job = ask(make_project())
    claimed = jobs.claim_next(ALL)
    jobs.stopping.set()
    try:
        with jobs.running(claimed):
            jobs.beat(claimed)
    finally:
        jobs.stopping.clear()

    job.refresh_from_db()
    assert (job.state, job.attempts) == ("queued", 0)


def test_figures_reported_again_replace_the_old():
    job = ask(make_project())
    for value in (0.7, 0.5):
        jobs.write_metrics(job, [Metric(job=job, name="loss", step=1, value=value)])
        jobs.write_metrics(job, [Metric(job=job, name="accuracy", value=value)])

    assert sorted(Metric.objects.values_list("name", "step", "value")) == [
        ("accuracy", None, 0.5),
        ("loss", 1, 0.5),
    ]


def test_of_a_figure_that_is_reported_twice_at_once_the_last_counts():
    job = ask(make_project())
    jobs.write_metrics(
        job,
        [
            Metric(job=job, name=name, step=step, value=value)
            for value in (0.7, 0.5)
            for name, step in (("loss", 1), ("accuracy", None))
        ],
    )

    assert sorted(Metric.objects.values_list("name", "step", "value")) == [
        ("accuracy", None, 0.5),
        ("loss", 1, 0.5),
    ]


def test_the_database_refuses_a_second_final_figure_of_a_name_and_slice():
    job = ask(make_project())
    Metric.objects.create(job=job, name="accuracy", slice="test", value=0.5)
    Metric.objects.create(job=job, name="accuracy", slice="train", value=0.5)

    with pytest.raises(IntegrityError), transaction.atomic():
        Metric.objects.create(job=job, name="accuracy", slice="test", value=0.6)


def test_only_the_newest_lines_of_a_log_are_kept(monkeypatch):
    monkeypatch.setattr(jobs, "LOG_LINES", 3)
    job = ask(make_project())
    jobs.write_log(job, list("abcde"))

    assert "".join(LogLine.objects.order_by("pk").values_list("text", flat=True)) == "cde"


@pytest.mark.parametrize(
    ("kind", "asked", "field"),
    [
        ("sample", {"k": 0}, "k"),
        ("sample", {"temperature": "hot"}, "temperature"),
        ("sample", {"temprature": 1.0}, "temprature"),
        ("dpo", {"pairs": "some"}, "pairs"),
        ("dpo", {"beta": float("nan")}, "beta"),
        ("sample", {"rank": 1}, "rank"),
    ],
)
def test_a_wrong_setting_is_named(kind, asked, field):
    with pytest.raises(recipes.InvalidRecipe) as caught:
        jobs.request(None, make_project(), kind, asked)

    assert caught.value.field == field
    assert not Job.objects.exists()
