"""Rounds: numbered passes through the loop of a project, one open at a time."""

import pytest
from django.db import IntegrityError, transaction

from labeling.loop import rounds
from labeling.loop.rounds import Step
from labeling.models import Round, RoundStep
from modelops.models import Job
from people.access import Refused
from people.models import AuditEvent
from tests.factories import make_job, make_project

pytestmark = pytest.mark.django_db
GATE = {"figure": "win_rate", "slice": "held-out", "bound": "low", "at_least": 0.5}


def test_a_round_has_a_step_of_each_kind_in_the_order_of_the_loop(project, carol):
    started = rounds.start(carol, project)

    assert (started.n, started.state, started.started_by) == (1, "open", carol)
    assert list(started.steps.values_list("kind", "job", "gate")) == [
        (kind, None, {}) for kind in ("freeze", "reward", "policy", "evaluate", "promote", "sample")
    ]
    event = AuditEvent.objects.get(verb="start round")
    assert (event.actor, event.data) == (carol, {"n": 1, "steps": 6})


def test_a_step_has_its_job_and_its_gate(project):
    job = make_job(project, "dpo")
    started = rounds.start(None, project, [Step("policy", job), Step("promote", gate=GATE)])

    assert [(step.job, step.gate) for step in started.steps.all()] == [(job, {}), (None, GATE)]


def test_each_project_counts_its_own_rounds_and_has_one_open(project, carol):
    first = rounds.start(carol, project)
    with pytest.raises(Refused, match="Round 1 is still open"):
        rounds.start(carol, project)
    assert rounds.start(None, make_project()).n == 1

    rounds.end(carol, first, Round.State.STOPPED)
    assert rounds.start(carol, project).n == 2

    first.refresh_from_db()
    assert first.state == "stopped"
    assert first.ended_at >= first.created_at
    event = AuditEvent.objects.get(verb="end round")
    assert event.data == {"n": 1, "state": "stopped"}


def test_a_round_ends_once(project, carol):
    started = rounds.start(carol, project)
    rounds.end(carol, started, Round.State.DONE)

    with pytest.raises(Refused, match="over already"):
        rounds.end(carol, started, Round.State.STOPPED)
    assert Round.objects.get().state == "done"


def test_a_job_makes_a_step_of_its_kind_in_its_project_once(project, carol):
    reward, theirs = make_job(project, "reward"), make_job(make_project(), "reward")
    for steps in (
        [Step("freeze", reward)],
        [Step("promote", reward)],
        [Step("reward", theirs)],
        [Step("reward", reward), Step("reward", reward)],
    ):
        with pytest.raises(Refused) as refusal:
            rounds.start(carol, project, steps)
        assert refusal.value.field == "steps"
    assert not Round.objects.exists()

    rounds.end(carol, rounds.start(carol, project, [Step("reward", reward)]), Round.State.DONE)
    with pytest.raises(Refused, match="makes another step"):
        rounds.start(carol, project, [Step("reward", reward)])


@pytest.mark.parametrize("kind", sorted(rounds.JOBS))
def test_every_kind_of_job_fits_the_step_that_it_makes(project, kind):
    jobs = [make_job(project, job_kind) for job_kind in rounds.JOBS[kind]]
    started = rounds.start(None, project, [Step(kind, job) for job in jobs])
    assert [step.job for step in started.steps.all()] == jobs


def test_a_round_stays_when_its_job_is_deleted(project):
    job = make_job(project, "freeze")
    started = rounds.start(None, project, [Step("freeze", job)])
    Job.objects.filter(pk=job.pk).delete()

    assert started.steps.get().job is None


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"n": 1, "state": "done", "ended_at": "2026-01-01T00:00Z"}, id="same number"),
        pytest.param({"n": 2}, id="a second open one"),
        pytest.param({"n": 2, "state": "done"}, id="over without an end"),
    ],
)
def test_the_database_refuses_what_is_no_round(project, fields):
    rounds.start(None, project)
    with pytest.raises(IntegrityError), transaction.atomic():
        Round.objects.create(project=project, **fields)


def test_the_database_refuses_two_steps_at_one_position(project):
    started = rounds.start(None, project)
    with pytest.raises(IntegrityError), transaction.atomic():
        RoundStep.objects.create(round=started, position=0, kind="freeze")
