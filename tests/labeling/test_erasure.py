"""Erasing somebody's judgments withdraws what was frozen from them, and names what learned."""

import pytest

from labeling import erasure
from labeling.exports import freeze
from labeling.models import Assignment, DatasetRanking, RankedCandidate, Ranking, RankingTask
from modelops import datasets, rows
from modelops.models import Dataset, Job, ModelVersion
from people.models import AuditEvent
from tests.factories import make_job, make_model, make_ranking, make_task

pytestmark = pytest.mark.django_db
WHY = "a labeler asked for it"


@pytest.fixture
def frozen(project, alice, bob) -> Dataset:
    """One task that both ranked, one that only Bob did, one that only Alice did."""
    both = make_task(project, overlap=2)
    make_ranking(both, alice)
    make_ranking(both, bob)
    make_ranking(make_task(project), bob)
    make_ranking(make_task(project), alice)
    return freeze.freeze_now(None, project, note="round 1")


@pytest.fixture
def learned(project, frozen) -> ModelVersion:
    return make_model(project, "assistant 2", folder="m", sha256="0" * 64, dataset=frozen)


def freeze_again():
    job = Job.objects.get(kind="freeze", state="queued")
    return freeze.freeze(job)


def test_the_rankings_are_gone_and_the_others_stay(project, alice, bob, carol, frozen):
    erasure.erase(carol, project, alice, WHY)

    assert set(Ranking.objects.values_list("labeler", flat=True)) == {bob.pk}
    assert RankedCandidate.objects.filter(ranking__labeler=alice).count() == 0
    assert DatasetRanking.objects.filter(dataset=frozen).count() == 2


def test_a_withdrawn_dataset_is_gone_with_the_reason_and_its_successor(
    client_for, project, alice, carol, frozen
):
    erasure.erase(carol, project, alice, WHY)
    successor = freeze_again()
    answer = client_for(carol).get(f"/p/demo/datasets/{frozen.pk}/download?format=rows")

    assert answer.status_code == 410
    assert WHY in answer.content.decode()
    assert f"/p/demo/datasets/{successor.pk}/" in answer.content.decode()
    assert successor.counts["rows"] == 2
    assert [len(row["judgments"]) for row in rows.read(datasets.path(successor))] == [1, 1]
    assert successor.note == "round 1"


def test_what_was_ranked_meanwhile_is_not_in_the_successor(project, alice, bob, carol, frozen):
    make_ranking(make_task(project), bob)
    erasure.erase(carol, project, alice, WHY)

    assert freeze_again().counts["rows"] == 2


@pytest.mark.django_db(transaction=True)
def test_the_files_of_a_withdrawn_dataset_go(project, alice, carol, frozen):
    folder = datasets.path(frozen)
    assert folder.exists()
    erasure.erase(carol, project, alice, WHY)

    assert not folder.exists()


def test_no_model_learns_from_a_withdrawn_dataset(project, alice, carol, frozen):
    waiting = make_job(project, "reward", state="queued", dataset=frozen)
    erasure.erase(carol, project, alice, WHY)
    frozen.refresh_from_db()

    waiting.refresh_from_db()
    assert waiting.state == "cancelled"
    with pytest.raises(datasets.Withheld, match=WHY):
        datasets.verify(frozen)


def test_the_models_that_learned_from_it_are_named(client_for, project, alice, carol, learned):
    membership = project.memberships.get(user=alice)
    page = client_for(carol).get(f"/p/demo/people/{membership.pk}/erase").content.decode()
    assert "assistant 2" in page

    answer = client_for(carol).post(
        f"/p/demo/people/{membership.pk}/erase", {"why": WHY}, follow=True
    )
    assert "These models learned from what was erased: assistant 2." in answer.content.decode()
    event = AuditEvent.objects.get(verb="erase judgments")
    assert (event.actor, event.data["models"], event.data["rankings"]) == (
        carol,
        ["assistant 2"],
        2,
    )


def test_a_model_that_read_it_beside_its_own_dataset_is_named_too(project, alice, carol, frozen):
    job = make_job(project, "sft")
    job.further.add(frozen)
    make_model(project, "mixed", folder="m", sha256="0" * 64, job=job)

    with pytest.raises(datasets.InUse, match="mixed learned from this dataset"):
        datasets.delete(carol, frozen)
    assert [version.name for version in datasets.withdraw(carol, frozen, WHY)] == ["mixed"]


def test_a_reason_is_needed(client_for, project, alice, carol, frozen):
    membership = project.memberships.get(user=alice)
    answer = client_for(carol).post(f"/p/demo/people/{membership.pk}/erase", {"why": ""})

    assert answer.status_code == 422
    assert Ranking.objects.filter(labeler=alice).exists()


def test_the_places_are_free_again(project, alice, carol):
    task = make_task(project, overlap=2)
    ranking = make_ranking(task, alice)
    ranking.assignment = Assignment.objects.create(
        task=task,
        labeler=alice,
        project=project,
        state="submitted",
        place=0,
        order=[],
        draft={"note": "mine"},
    )
    ranking.save()
    RankingTask.objects.filter(pk=task.pk).update(free_places=1)
    erasure.erase(carol, project, alice, WHY)

    task.refresh_from_db()
    place = Assignment.objects.get(task=task)
    assert (task.free_places, place.state, place.draft) == (2, "returned", {})


def test_erasing_takes_many_short_transactions(project, alice, carol, frozen, monkeypatch):
    monkeypatch.setattr(erasure, "BATCH", 1)
    erasure.erase(carol, project, alice, WHY)

    assert not Ranking.objects.filter(labeler=alice).exists()


# Deleting a dataset


def test_a_dataset_that_a_model_learned_from_stays(client_for, carol, learned, frozen):
    answer = client_for(carol).post(f"/p/demo/datasets/{frozen.pk}/delete", follow=True)

    assert "assistant 2 learned from this dataset" in answer.content.decode()
    assert Dataset.objects.filter(pk=frozen.pk).exists()


def test_a_dataset_that_a_job_is_at_stays(project, carol, frozen):
    make_job(
        project,
        "reward",
        state="running",
        dataset=frozen,
        claim="3f0a3a9e-8d8c-4f6e-9d6b-0d0f4a7c9f11",
        heartbeat_at=frozen.created_at,
    )

    with pytest.raises(datasets.InUse, match="cancel it"):
        datasets.delete(carol, frozen)


def test_a_dataset_that_is_rehearsed_stays_while_it_is(project, carol, frozen):
    job = make_job(project, "ppo", rehearsal=frozen, state="queued")
    with pytest.raises(datasets.InUse, match="cancel it"):
        datasets.delete(carol, frozen)

    Job.objects.filter(pk=job.pk).update(state="cancelled")
    datasets.delete(carol, frozen)
    assert Job.objects.get(pk=job.pk).rehearsal is None


@pytest.mark.django_db(transaction=True)
def test_a_dataset_of_which_nothing_was_made_can_be_deleted(client_for, project, carol, frozen):
    folder, done = datasets.path(frozen), make_job(project, "render", dataset=frozen)
    client_for(carol).post(f"/p/demo/datasets/{frozen.pk}/delete")

    assert not Dataset.objects.exists()
    assert not folder.exists()
    assert Job.objects.get(pk=done.pk).dataset is None
    assert AuditEvent.objects.get(verb="delete dataset").data == {"digest": frozen.digest}
