"""Gold tasks: their answer key, given by an admin, shows how well people judge. Labelers can't tell
them from others.

A gold task is out of the order, and each labeler may be given it once; how often is the project's
`gold_share`. What people say of it enters no dataset and no figure of the project.
"""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.judging import rankings
from labeling.judging.judgment import InvalidRanking, Judgment, check
from labeling.models import ANSWER_KEY, Assignment, RankedCandidate, Ranking, RankingTask
from labeling.queue import order
from labeling.stats import gold_accuracy
from people import audit
from people.models import Project, User

Purpose = RankingTask.Purpose


def key_of(task: RankingTask) -> Ranking | None:
    """The answer key; where the task is gold no more, the one that it had."""
    return task.rankings.filter(kind=Ranking.Kind.GOLD).order_by("-revision").first()


@transaction.atomic
def make(actor: User, task: RankingTask, judgment: Judgment) -> Ranking:
    """Give the task its answer key, or another one: it is gold from now on. Raises InvalidRanking.

    Who holds it goes on; what people said of it so far is held against the key too.
    """
    paper = rankings.sheet(task, actor)
    ranks = check(judgment, len(paper.order), task.project)
    if len(set(ranks)) < 2:
        raise InvalidRanking(_("An answer key must rank at least one answer above another."))
    order.locked(task.pk)
    kind = Ranking.Kind.GOLD
    key = rankings.write(
        actor, "make gold", paper, judgment, ranks, judge=ANSWER_KEY, thing=task, kind=kind
    )
    RankingTask.objects.filter(pk=task.pk).update(
        purpose=Purpose.GOLD, sort_key=None, free_places=0
    )
    return key


@transaction.atomic
def unmake(actor: User, task: RankingTask) -> None:
    """An ordinary task again: what people said of it while it was gold counts like any judgment.
    Twice is harmless.

    It takes as many places as people hold, and is offered where that is less than its overlap.
    """
    task, queryset = order.locked(task.pk), RankingTask.objects.filter(pk=task.pk)
    if task.purpose != Purpose.GOLD:
        return
    task.rankings.filter(kind=Ranking.Kind.GOLD).update(current=False)
    held = _close_up(task)
    overlap = max(task.overlap, held)
    queryset.update(purpose=Purpose.TRAINING, overlap=overlap, free_places=overlap - held)
    if task.rankings.filter(
        kind=Ranking.Kind.IMPORTED
    ).exists():  # was never offered, and is not now
        queryset.update(free_places=0, state=RankingTask.State.OPEN)
    elif task.state == RankingTask.State.OPEN:
        order.line_up(queryset)
    audit.record(actor, "unmake gold", task, task.project)


def _close_up(task: RankingTask) -> int:
    """Leave no gap between the places that people hold; returns how many those are."""
    held = task.assignments.filter(state__in=Assignment.HOLDING)
    taken = set(held.values_list("place", flat=True))
    free = (place for place in range(len(taken)) if place not in taken)
    for pk in held.filter(place__gte=len(taken)).values_list("pk", flat=True):
        Assignment.objects.filter(pk=pk).update(place=next(free))
    return len(taken)


def figures(project: Project) -> dict[int, gold_accuracy.Gold]:
    """How each labeler's judgments of the project's gold tasks agree with the keys: one query.

    A key has one current ranking; an adjudication from before the task was gold is none.
    """
    of_gold = Ranking.objects.filter(task__project=project, task__purpose=Purpose.GOLD)
    compared = of_gold.independent().exclude(
        kind__in=[Ranking.Kind.IMPORTED, Ranking.Kind.ADJUDICATED]
    )
    answers = RankedCandidate.objects.filter(ranking__in=compared.values("pk"))
    return gold_accuracy.by_labeler(
        answers.values_list("ranking__task", "ranking__labeler", "candidate", "rank")
    )
