"""Erasing what one person judged in a project: datasets that held it are withdrawn, the models they
taught are named.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, Min, Q, QuerySet
from django.utils.timezone import now

from labeling.models import (
    Assignment,
    DatasetRanking,
    FormDraft,
    Message,
    Ranking,
    RankingTask,
    Review,
    Thread,
)
from labeling.queue import order
from modelops import datasets, jobs
from modelops.models import Dataset, Job, ModelVersion
from people import audit
from people.models import Project, User

BATCH = 500


@dataclass
class Erasure:
    """What an erasure concerns: before it, what it would take; after it, what it took."""

    rankings: int
    datasets: list[Dataset]
    models: list[ModelVersion]
    messages: int = 0
    reviews: int = 0


def of(project: Project, user: User) -> QuerySet[Ranking]:
    return Ranking.objects.filter(task__project=project, labeler=user)


def foresee(project: Project, user: User) -> Erasure:
    held = DatasetRanking.objects.filter(ranking__in=of(project, user)).values("dataset")
    affected = list(Dataset.objects.filter(pk__in=held, withdrawn_at=None).order_by("pk"))
    return Erasure(
        of(project, user).count(),
        affected,
        list(ModelVersion.objects.filter(dataset__in=affected).order_by("pk")),
        _messages(project, user).count(),
        _reviews(project, user).count(),
    )


def _messages(project: Project, user: User) -> QuerySet[Message]:
    """What the person wrote, and what leads answered them."""
    theirs = Q(author=user) | Q(thread__labeler=user)
    return Message.objects.filter(theirs, thread__task__project=project)


def _reviews(project: Project, user: User) -> QuerySet[Review]:
    """What the person said of others' rankings; what others said of theirs goes with those."""
    return Review.objects.filter(ranking__task__project=project, reviewer=user)


def erase(actor: User, project: Project, user: User, why: str) -> Erasure:
    """Delete the person's rankings here and free their places, and what they said of others. What
    was made of it is withdrawn first, and frozen anew without them; models stay, and are named.
    Done again after a break, it goes on where it was.

    Which tasks they have seen stays known: they get no place there as long as it would count.
    """
    erasure = _announce(actor, project, user, why)
    while _erase_some(project, user):
        pass
    threads = Thread.objects.filter(task__project=project, labeler=user)
    for queryset in (_messages(project, user), _reviews(project, user), threads):
        while _delete_some(queryset):
            pass
    return erasure


@transaction.atomic
def _announce(actor: User, project: Project, user: User, why: str) -> Erasure:
    erasure = foresee(project, user)
    for dataset in erasure.datasets:
        datasets.withdraw(actor, dataset, why)
        chosen = {
            "replaces": dataset.digest,
            "without": str(user.pk),
            "note": dataset.note,
            "licence": dataset.licence,
        }
        jobs.request(actor, project, Job.Kind.FREEZE, chosen)
    digests = [dataset.digest for dataset in erasure.datasets]
    names = [version.name for version in erasure.models]
    undone = of(project, user).exclude(undone_at=None).count()
    FormDraft.objects.filter(task__project=project, person=user).delete()
    about = {
        "rankings": erasure.rankings,
        "undone": undone,
        "messages": erasure.messages,
        "reviews": erasure.reviews,
        "datasets": digests,
        "models": names,
        "why": why,
    }
    audit.record(actor, "erase judgments", user, project, **about)
    return erasure


@transaction.atomic
def _erase_some(project: Project, user: User) -> bool:
    """At most BATCH rankings, so that labelers never wait for an erasure."""
    some = list(of(project, user).order_by("pk").values_list("pk", "task")[:BATCH])
    rankings, tasks = {pk for pk, _task in some}, {task for _pk, task in some}
    locked = RankingTask.objects.filter(pk__in=tasks).order_by("pk").select_for_update(no_key=True)
    list(locked.values_list("pk", flat=True))  # as every verb: the task before its places
    DatasetRanking.objects.filter(ranking__in=rankings).delete()
    Ranking.objects.filter(pk__in=rankings).delete()
    _free_places(project, user, tasks)
    return bool(some)


@transaction.atomic
def _delete_some(rows: QuerySet) -> bool:
    pks = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
    rows.model.objects.filter(pk__in=pks).delete()
    return bool(pks)


def _free_places(project: Project, user: User, tasks: set[int]) -> None:
    """The places that held nothing but what was erased; whoever had passed them looks at them
    again.
    """
    empty = Assignment.objects.filter(
        task__in=tasks, labeler=user, state=Assignment.State.SUBMITTED, rankings=None
    ).values_list("pk", "task")
    places, freed = zip(*empty, strict=True) if empty else ((), ())
    wiped = {"draft": {}, "draft_at": None, "skip_reason": ""}
    Assignment.objects.filter(pk__in=places).update(
        state=Assignment.State.RETURNED, ended_at=now(), **wiped
    )
    counted = RankingTask.objects.filter(pk__in=freed).exclude(purpose=RankingTask.Purpose.GOLD)
    counted.update(free_places=F("free_places") + 1)
    first = counted.filter(sort_key__isnull=False).aggregate(first=Min(order.key(project)))["first"]
    if first is not None:
        order.look_again(project.pk, first)
