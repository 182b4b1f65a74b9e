"""Adjudication: where people disagree, a lead says how the answers stand. What people said stays,
and counts as before.

What was settled is nobody's judgment: no figure of the project counts it, and only datasets that
ask for it hold it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from labeling.judging import rankings
from labeling.judging.judgment import LETTERS, MOST, Judgment, check
from labeling.models import SETTLEMENT, Assignment, Judge, Ranking, RankingTask, Span, judge_kind
from labeling.quality.recent import ranks_by_task
from labeling.queue import order, seen
from labeling.stats import agreement
from people import audit
from people.access import Refused
from people.models import Project, User

SHOWN = 100


@dataclass
class Dispute:
    """A task on which people disagree: the pairs of its answers that two of them put in an order,
    and in the same one.
    """

    task: RankingTask
    judges: int  # people
    agreed: int
    compared: int
    settled: bool

    @property
    def agreement(self) -> float:
        return self.agreed / self.compared


def open_to(project: Project, person: User) -> QuerySet[RankingTask]:
    """The tasks that this person may settle: nobody is at one any more, also not they themselves,
    who would read there what the others said; and sensitive ones are for who is willing. A list
    that was judged elsewhere may be too long to rank.
    """
    at_work = Assignment.objects.filter(task=OuterRef("pk"), state=Assignment.State.LEASED)
    tasks = RankingTask.objects.filter(
        project=project, purpose=RankingTask.Purpose.TRAINING, free_places=0
    )
    tasks = tasks.filter(~Exists(at_work), prompt__published=True).select_related(
        "project", "prompt"
    )
    answers = RankingTask.candidates.through.objects.filter(rankingtask=OuterRef("pk"))
    tasks = tasks.exclude(Exists(answers[MOST : MOST + 1]))
    return tasks if person.sensitive else tasks.exclude(prompt__sensitive=True)


def disputes(project: Project, person: User) -> list[Dispute]:
    """Of what was ranked lately, the tasks with a pair that people see differently: what is settled
    last, and the least agreement first. Reads the same number of rows however many there are, in a
    constant number of queries.
    """
    ranks = ranks_by_task(project)
    counted = {
        task: agreement.task_agreement(judged) for task, judged in ranks.items() if len(judged) > 1
    }
    apart = {task: counts for task, counts in counted.items() if counts[0] < counts[1]}
    settled = set(_settlements(apart).values_list("task", flat=True))
    disputed = [
        Dispute(task, len(ranks[task.pk]), *apart[task.pk], task.pk in settled)
        for task in open_to(project, person).filter(pk__in=apart)
    ]
    return sorted(
        disputed, key=lambda dispute: (dispute.settled, dispute.agreement, -dispute.task.pk)
    )[:SHOWN]


def next_open(project: Project, person: User) -> RankingTask | None:
    """The disagreement to adjudicate next; None when none is left."""
    first = next(iter(disputes(project, person)), None)
    return first.task if first and not first.settled else None


def _settlements(tasks: Iterable[int]) -> QuerySet[Ranking]:
    return Ranking.objects.filter(task__in=list(tasks), kind=Ranking.Kind.ADJUDICATED, current=True)


def settled(task: RankingTask) -> Ranking | None:
    """How the task was settled, if it is."""
    return _settlements([task.pk]).first()


@dataclass(frozen=True)
class Said:
    """What one judge said of a task, without a name: "B > A = C", and of what kind the judge is."""

    order: str
    judge_kind: str
    marks: list[tuple[str, str, str]] = field(default_factory=list)  # (answer, label, passage)


LONGEST_PASSAGE = 100  # characters of a marked one that are shown


def sheet(task: RankingTask, person: User) -> Assignment:
    """The ranking form, its answers in an order of this person's own, the same at each look.

    In the order of their slots one could tell the models of a task that compares some. Raises
    Refused like rankings.sheet.
    """
    paper = rankings.sheet(task, person)
    paper.order.sort(
        key=lambda answer: hashlib.sha256(f"{person.uuid} {task.pk} {answer}".encode()).digest()
    )
    return paper


def judged(paper: Assignment) -> list[Said]:
    """Each judge's ranking, in the letters of the form.

    Whoever reads them has seen the task, and gets no place on it any more.
    """
    letters = dict(zip(paper.order, LETTERS))
    current_rankings = (
        paper.task.rankings.of_judges()
        .filter(current=True)
        .order_by("pk")
        .prefetch_related("ranked", "spans")
    )
    seen.note_rankings(paper.labeler, current_rankings)
    judges = Judge.objects.in_bulk([ranking.judge for ranking in current_rankings])
    return [
        Said(
            rankings.in_letters(ranking, lambda answer: letters[answer.candidate_id]),
            judge_kind(ranking.kind, judges.get(ranking.judge)),
            [
                (letters[span.candidate_id].upper(), span.label, _passage(paper, span))
                for span in sorted(
                    ranking.spans.all(), key=lambda span: (letters[span.candidate_id], span.start)
                )
            ],
        )
        for ranking in current_rankings
    ]


def _passage(paper: Assignment, span: Span) -> str:
    text = paper.texts[span.candidate_id][span.start : span.end]
    return text if len(text) <= LONGEST_PASSAGE else text[:LONGEST_PASSAGE] + "…"


@transaction.atomic
def settle(actor: User, task: RankingTask, judgment: Judgment) -> Ranking:
    """Say how the task's answers stand; once more is a revision. Raises InvalidRanking, or Refused
    where there is nothing to settle.
    """
    paper = sheet(task, actor)
    ranks = check(judgment, len(paper.order), task.project)
    task = order.locked(task.pk)
    if not open_to(task.project, actor).filter(pk=task.pk).exists():
        raise Refused(_("Only a task that is fully ranked and not gold can be adjudicated."))
    if task.rankings.of_people().filter(current=True).count() < 2:
        raise Refused(_("Fewer than two people ranked this task: there is nothing to adjudicate."))
    kind = Ranking.Kind.ADJUDICATED
    return rankings.write(
        actor, "settle", paper, judgment, ranks, judge=SETTLEMENT, thing=task, kind=kind
    )


@transaction.atomic
def unsettle(actor: User, task: RankingTask) -> None:
    """Take it back: the task is as people judged it, and no more. Twice is harmless."""
    if _settlements([task.pk]).update(current=False):
        audit.record(actor, "unsettle", task, task.project)
