"""What webhooks are told of: who judges stays a pseudonym, no text is told, and a task is complete
once.
"""

import threading
from contextlib import suppress

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.exports import freeze
from labeling.judging import events, judgment, rankings
from labeling.models import ProjectRules
from labeling.quality import gold
from labeling.queue import claims
from modelops import jobs, registry
from modelops.models import Job
from people.models import Delivery, Membership, Project, Webhook
from people.webhooks import registry as webhooks
from tests.factories import make_job, make_model, make_person, make_task

pytestmark = pytest.mark.django_db
VERDICTS = judgment.Judgment(
    {letter: judgment.Verdict(rank=rank) for rank, letter in enumerate("abcd", 1)}
)


@pytest.fixture
def told(project, carol):
    """A webhook waits for everything; what it was told so far."""
    webhooks.make(carol, project, "https://example.org/", list(Webhook.Event.values))
    return lambda: list(Delivery.objects.order_by("pk").values_list("event", "payload__data"))


def lease(person):
    return claims.next_for(Membership.objects.select_related("project", "user").get(user=person))


def rank(person):
    return rankings.submit(lease(person), VERDICTS)


def test_a_ranking_is_told_without_a_name_or_a_text(project, alice, told):
    task = make_task(project)
    made = rank(alice)
    rankings.revise(made.assignment, VERDICTS)

    sent = [data for event, data in told() if event == "ranking.submitted"]
    assert [data["revision"] for data in sent] == [1, 2]
    assert sent[0] == {
        "ranking": made.pk,
        "task": task.pk,
        "kind": "labeler",
        "revision": 1,
        "judge": sent[0]["judge"],
        "project": "demo",
        "address": f"/api/v1/projects/demo/rankings/{made.pk}",
    }
    assert str(alice.uuid) not in str(told())


def test_a_task_is_complete_with_its_last_place(project, alice, bob, told):
    task = make_task(project, overlap=2)
    for person, expected in ((alice, 0), (bob, 1)):
        rank(person)
        assert [event for event, _data in told()].count("task.complete") == expected
    assert told()[-1][1]["address"] == f"/api/v1/projects/demo/tasks/{task.pk}"


def test_a_gold_task_is_never_complete(project, alice, carol, told, monkeypatch):
    monkeypatch.setattr(claims, "drawn", lambda percent: True)
    ProjectRules.objects.update(gold_share=10)
    gold.make(carol, make_task(project), VERDICTS)
    make_task(project)
    rank(alice)
    assert [event for event, _data in told()] == ["ranking.submitted"]


@pytest.mark.django_db(transaction=True)
def test_of_two_who_fill_the_last_places_at_once_one_completes_the_task(
    project, alice, bob, told, monkeypatch
):
    make_task(project, overlap=2)
    look, both = events.if_complete, threading.Barrier(2)

    def meet():
        with suppress(threading.BrokenBarrierError):
            both.wait(1)  # who has to wait their turn doesn't come

    def look_together(assignment):
        meet()
        look(assignment)
        meet()

    def submit(held):
        try:
            rankings.submit(held, VERDICTS)
        finally:
            connection.close()

    monkeypatch.setattr(events, "if_complete", look_together)
    at_once = [threading.Thread(target=submit, args=[lease(person)]) for person in (alice, bob)]
    for one in at_once:
        one.start()
    for one in at_once:
        one.join()
    assert [event for event, _data in told()].count("task.complete") == 1


def test_a_submit_costs_no_query_where_no_webhook_waits_for_it(project, carol, monkeypatch):
    def queries() -> int:
        held = lease(make_person(project))
        with CaptureQueriesContext(connection) as asked:
            rankings.submit(held, VERDICTS)
        return len(asked)

    make_task(project, overlap=9)
    rank(make_person(project))
    without = queries()
    webhooks.make(carol, project, "https://example.org/", ["job.finished"])
    assert queries() == without
    for verb in ("submitted", "take_turns", "if_complete"):
        monkeypatch.setattr(events, verb, lambda *_: None)
    assert queries() == without


def test_a_job_is_told_of_when_it_ends_however_it_does(project, carol, told):
    waiting = jobs.request(carol, project, "freeze", {})
    jobs.cancel(carol, waiting)
    jobs.request(carol, project, "freeze", {})
    with jobs.running(jobs.claim_next({"freeze"})):
        raise jobs.JobFailed("No.")

    assert [(event, data["kind"], data["state"]) for event, data in told()] == [
        ("job.finished", "freeze", "cancelled"),
        ("job.finished", "freeze", "failed"),
    ]
    assert told()[0][1]["address"] == f"/api/v1/projects/demo/jobs/{waiting.pk}"


def test_a_webhook_made_while_a_job_runs_is_told_of_its_end(project, carol):
    make_job(project, "freeze", state="queued")
    with jobs.running(jobs.claim_next({"freeze"})):
        webhooks.make(
            carol, Project.objects.get(pk=project.pk), "https://example.org/", ["job.finished"]
        )
    assert Delivery.objects.get().payload["data"]["state"] == Job.State.DONE


def test_a_promotion_and_a_new_dataset_are_told_once(project, alice, carol, told):
    version = make_model(project, folder="m", sha256="0" * 64)
    registry.promote(carol, Project.objects.get(pk=project.pk), version)
    make_task(project)
    rank(alice)
    frozen = [freeze.freeze_now(None, project) for _ in range(2)][0]

    data_of = dict(told())
    assert data_of["version.promoted"]["model"] == version.pk
    assert data_of["version.promoted"]["alias"] == "champion"
    assert data_of["dataset.frozen"]["digest"] == frozen.digest
    assert [event for event, _data in told()].count("dataset.frozen") == 1


def test_every_address_that_is_told_leads_to_the_thing(project, alice, carol, told, client_for):
    registry.promote(
        carol, Project.objects.get(pk=project.pk), make_model(project, folder="m", sha256="0" * 64)
    )
    make_task(project)
    rank(alice)
    freeze.freeze_now(None, project)
    webhooks.ping(carol, Webhook.objects.get())

    assert {event for event, _data in told()} == {*Webhook.Event.values, webhooks.PING}
    for event, data in told():
        assert client_for(carol).get(data["address"]).status_code == 200, event
