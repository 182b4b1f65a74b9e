"""Judged tasks: finds them by their prompts, answers and judgments, and reads who ranked how.

A page costs the same however many tasks a project has: it walks the index of the tasks that
somebody has begun, from a key on, and looks through a fixed number of them. A filter that few
tasks match may need several pages, and each says where the next one starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from labeling.exports import freeze
from labeling.models import Candidate, Judge, Prompt, RankedCandidate, Ranking, RankingTask
from labeling.models.tasks import BEGUN
from labeling.stats import agreement
from labeling.text.conversations import as_stored
from modelops import rows
from people import pseudonyms
from people.models import Membership, Project

LOOKED_AT = 50_000  # tasks that a page looks through at most
COMPARED = 1_000  # of these, at most so many whose agreement is computed
LISTED = 500  # the newest judged tasks, whose judges and values a filter offers


@dataclass(frozen=True)
class Wanted:
    """What is asked of a judged task. `judge`, `since`, `until` and `ties` are asked of one and the
    same judgment.
    """

    search: str = ""
    source: str = ""
    use_case: str = ""
    language: str = ""
    split: str = ""
    job: int | None = None  # the import that brought the prompt or the judgments
    model: int | None = None  # a model version that wrote one of the answers
    judge: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None  # exclusive
    ties: bool | None = None
    least: float | None = None  # agreement, from 0 to 1
    most: float | None = None

    @property
    def compares(self) -> bool:
        return self.least is not None or self.most is not None


@dataclass(frozen=True)
class Page:
    """Keys of judged tasks, the newest first. `older` and `newer` are where the pages on both sides
    start; None where nothing is left.
    """

    tasks: list[int]
    older: int | None
    newer: int | None
    cut: bool = False  # it ended before it was full, and before the last task


# Find


def of_project(project: Project) -> QuerySet[RankingTask]:
    """The project's judged tasks."""
    return _matching(_begun(project), Wanted())


def _begun(project: Project) -> QuerySet[RankingTask]:
    return RankingTask.objects.filter(BEGUN, project=project)


def page(
    project: Project,
    wanted: Wanted,
    size: int,
    before: int | None = None,
    after: int | None = None,
) -> Page:
    """At most `size` tasks older than `before`, or newer than `after`: three queries at most."""
    backward = after is not None
    walk = _begun(project)
    walk = walk.filter(pk__gt=after) if backward else walk
    walk = walk.filter(pk__lt=before) if before is not None and not backward else walk
    walk = walk.order_by("pk" if backward else "-pk")
    limit = next(iter(walk.values_list("pk", flat=True)[LOOKED_AT : LOOKED_AT + 1]), None)
    if limit is not None:
        walk = walk.filter(pk__lt=limit) if backward else walk.filter(pk__gt=limit)
    tasks, last, exhausted = _first(walk, wanted, size)
    if exhausted and limit is not None:  # the next page starts with the first not looked at
        last = limit - 1 if backward else limit + 1
    ahead = last if not exhausted or limit is not None else None
    cut = ahead is not None and len(tasks) < size
    behind = _behind(tasks, before, after)
    if backward:
        return Page(tasks[::-1], older=behind, newer=ahead, cut=cut)
    return Page(tasks, older=ahead, newer=behind, cut=cut)


def _first(
    walk: QuerySet[RankingTask], wanted: Wanted, size: int
) -> tuple[list[int], int | None, bool]:
    """The first `size` tasks that match, the last that was looked at, whether no other matches."""
    matching = _matching(walk, wanted).values_list("pk", flat=True)
    if not wanted.compares:
        tasks = list(matching[: size + 1])
        return tasks[:size], tasks[size - 1] if len(tasks) > size else None, len(tasks) <= size
    compared = list(matching[:COMPARED])
    fitting = _fitting(compared, wanted)
    if len(fitting) > size:
        return fitting[:size], fitting[size - 1], False
    return fitting, compared[-1] if compared else None, len(compared) < COMPARED


def _behind(tasks: list[int], before: int | None, after: int | None) -> int | None:
    """Where the page before this one starts. The first page of all has none."""
    if before is None and after is None:
        return None
    if tasks:
        return tasks[0]
    return before - 1 if before is not None else (after or 0) + 1


def _matching(walk: QuerySet[RankingTask], wanted: Wanted) -> QuerySet[RankingTask]:
    """All conditions are asked of one task after the other, so that the order of the walk stays
    that of its index.
    """
    tasks = walk.filter(Exists(_judgments(wanted)), Exists(_prompts(wanted)))
    if wanted.job is not None:
        brought = Prompt.objects.filter(pk=OuterRef("prompt"), job=wanted.job)
        tasks = tasks.filter(Q(job=wanted.job) | Exists(brought))
    if wanted.model is not None:
        link = RankingTask.candidates.through.objects.filter(rankingtask=OuterRef("pk"))
        tasks = tasks.filter(Exists(link.filter(candidate__model_version=wanted.model)))
    if wanted.compares:
        tasks = tasks.filter(Exists(_comparable().filter(task=OuterRef("pk"))[1:2]))
    return tasks


def _prompts(wanted: Wanted) -> QuerySet[Prompt]:
    names = ("source", "use_case", "language", "split")
    values = {name: getattr(wanted, name) for name in names if getattr(wanted, name)}
    prompts = Prompt.objects.filter(pk=OuterRef("prompt"), published=True, **values)
    if wanted.search:
        prompts = prompts.filter(messages__icontains=as_stored(wanted.search))
    return prompts


def _judgments(wanted: Wanted) -> QuerySet[Ranking]:
    judgments = Ranking.objects.filter(task=OuterRef("pk"), current=True).of_judges()
    if wanted.judge:
        judgments = judgments.filter(judge=wanted.judge)
    if wanted.since:
        judgments = judgments.filter(created_at__gte=wanted.since)
    if wanted.until:
        judgments = judgments.filter(created_at__lt=wanted.until)
    if wanted.ties is not None:
        ranked = RankedCandidate.objects.filter(ranking=OuterRef("pk"), rank__isnull=False)
        tied = Exists(
            ranked.order_by().values("rank").annotate(n=Count("pk")).filter(n__gt=1).values("n")
        )
        judgments = judgments.filter(tied if wanted.ties else ~tied)
        judgments = judgments.filter(outcome=Ranking.Outcome.RANKED)
    return judgments


def _comparable() -> QuerySet[Ranking]:
    """The judgments that agreement is measured on."""
    return Ranking.objects.filter(
        current=True, prompted=False, outcome=Ranking.Outcome.RANKED
    ).of_judges()


def _fitting(tasks: list[int], wanted: Wanted) -> list[int]:
    """Of these tasks those whose judges agree as far as is wanted: one query."""
    ranked = RankedCandidate.objects.filter(ranking__in=_comparable().filter(task__in=tasks))
    ranks: dict[int, dict[int, list[int]]] = {task: {} for task in tasks}
    about = ("ranking__task", "ranking", "rank")
    for task, ranking, rank in ranked.order_by("candidate").values_list(*about):
        ranks[task].setdefault(ranking, []).append(rank)
    shares = {task: share(judged.values()) for task, judged in ranks.items()}
    least, most = wanted.least or 0, 1 if wanted.most is None else wanted.most
    return [
        task for task, agreed in shares.items() if agreed is not None and least <= agreed <= most
    ]


def share(ranks: Iterable[list[int]]) -> float | None:
    """How far judgments agree, from 0 to 1: of the pairs of answers that two judges put in an
    order, those alike. None where there is no such pair.
    """
    agreed, compared = agreement.task_agreement(ranks)
    return agreed / compared if compared else None


# Read


@dataclass(frozen=True)
class Judged:
    """A task as it would be frozen, and the rankings behind its judgments, in their order."""

    task: RankingTask
    row: dict[str, Any]
    rankings: list[Ranking] = field(default_factory=list)

    @property
    def agreement(self) -> float | None:
        """How far its judges agree; answer keys, adjudications and prompted judgments left out."""
        pairs = zip(self.row["judgments"], self.rankings, strict=True)
        return share(
            judgment["ranks"]
            for judgment, ranking in pairs
            if rows.is_independent(judgment) and ranking.kind not in Ranking.FOR_ALL
        )


def read(project: Project, tasks: list[int]) -> list[Judged]:
    """These tasks in their order, with their current rankings, each with its judge as `by`.

    The number of queries is the same for one task and for many. What is not the project's, or was
    judged by nobody, is left out.
    """
    current = Ranking.objects.filter(
        task__project=project, task__prompt__published=True, current=True
    )
    by_key = {task.pk: (task, judged) for task, judged in _with_judgments(current, tasks)}
    return [_as_judged(*by_key[pk]) for pk in tasks if pk in by_key]


def _with_judgments(current: QuerySet[Ranking], tasks: list[int]) -> Iterator[tuple]:
    for task, judged in freeze.with_judgments(current.select_related("labeler"), tasks):
        if any(ranking.kind not in Ranking.FOR_ALL for ranking, _ranks in judged):
            yield task, judged


def _as_judged(task: RankingTask, judged: list[tuple[Ranking, list[int]]]) -> Judged:
    """Judgments first, in the order of their making, then what an admin or a lead decided."""
    judged = sorted(judged, key=lambda item: (item[0].kind in Ranking.FOR_ALL, item[0].pk))
    return Judged(task, freeze.as_row(task, judged), [ranking for ranking, _ranks in judged])


# What a filter offers


def newest(project: Project) -> list[int]:
    """The newest tasks that somebody has begun."""
    return list(_begun(project).order_by("-pk").values_list("pk", flat=True)[:LISTED])


def judges(tasks: list[int]) -> list[Judge]:
    """Who judged these tasks."""
    judged = Ranking.objects.filter(task__in=tasks, current=True).of_judges()
    return list(
        Judge.objects.filter(uuid__in=judged.order_by().values("judge")).select_related("account")
    )


def values(tasks: list[int]) -> dict[str, list[str]]:
    """The sources, use cases and languages of the prompts of these tasks: one query."""
    names = ("source", "use_case", "language")
    prompts = Prompt.objects.filter(tasks__in=tasks, published=True).order_by()
    combinations = list(prompts.values(*names).distinct())
    return {name: sorted({values[name] for values in combinations} - {""}) for name in names}


def models(tasks: list[int]) -> list[str]:
    """The names of the model versions that answered these tasks."""
    answers = Candidate.objects.filter(tasks__in=tasks).order_by()
    return sorted(answers.values_list("model_version__name", flat=True).distinct())


def judge_of(project: Project, pseudonym: str) -> UUID | None:
    """The judge with this pseudonym in the project, or None."""
    try:
        return _found_judge(project.pk, pseudonym)
    except Judge.DoesNotExist:
        return None


@lru_cache(maxsize=1_000)
def _found_judge(project: int, pseudonym: str) -> UUID:
    """A hash of each judge of the site, the project's members first: done once, and not for each
    page that a filter has. Raises Judge.DoesNotExist, which is not kept.
    """
    members = Exists(Membership.objects.filter(project=project, user=OuterRef("account")))
    judges = Judge.objects.annotate(member=members).order_by("-member")
    for uuid in judges.values_list("uuid", flat=True).iterator(chunk_size=10_000):
        if pseudonyms.of(Project(pk=project), uuid) == pseudonym:
            return uuid
    raise Judge.DoesNotExist
