"""How far people agree on each question of a project, by the newest of what they judged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from labeling.models import Criterion, Ranking, RankingTask, Score
from labeling.quality.recent import LOOKED_AT
from labeling.stats import agreement, bootstrap
from people.models import Project

DRAWS = 500  # of an interval: enough for whole percents, quick enough for a page
Kind = Criterion.Kind


@dataclass(frozen=True)
class Agreement:
    """How far people agree on one question, in one revision of it."""

    name: str
    question: str
    kind: str
    share: float  # of the pairs of people who answered the same: those who said the same
    alpha: float | None  # Krippendorff's
    compared: int
    prompts: int
    low: float | None = None  # the 95 % interval of the share; none of a single prompt
    high: float | None = None


def figures(project: Project) -> list[Agreement]:
    """Of each question that two people have answered of the same thing, by name. Two queries.

    Texts are not compared, nor flags, of which only those that are set are known. Judgments by
    models and scripts, and those that were made after seeing others', do not count.
    """
    criteria = Criterion.objects.filter(project=project).exclude(kind=Kind.TEXT)
    compared = criteria.exclude(preset__gt="", kind=Kind.YES_NO).in_bulk()
    values = _values(project, compared)
    found = [_agreement(compared[pk], units) for pk, units in values.items()]
    return sorted((one for one in found if one), key=lambda one: one.name)


def _values(
    project: Project, criteria: dict[int, Criterion]
) -> dict[int, dict[tuple[int, int, int | None], list[Any]]]:
    """By criterion and (prompt, task, answer or None), what each person said."""
    training = Ranking.objects.filter(
        task__project=project, task__purpose=RankingTask.Purpose.TRAINING
    )
    newest = training.of_people().independent().order_by("-pk").values("pk")[:LOOKED_AT]
    scores = Score.objects.filter(ranking__in=newest, criterion__in=list(criteria))
    about = ("criterion", "ranking__task__prompt", "ranking__task", "candidate", "value")
    found: dict[int, dict] = defaultdict(lambda: defaultdict(list))
    for criterion, prompt, task, candidate, value in scores.order_by("pk").values_list(*about):
        found[criterion][prompt, task, candidate].append(value)
    return found


def _agreement(
    criterion: Criterion, units: dict[tuple[int, int, int | None], list[Any]]
) -> Agreement | None:
    counted: list[tuple[Hashable, tuple[int, int]]] = [
        (prompt, agreement.value_agreement(values))
        for (prompt, _task, _candidate), values in units.items()
    ]
    by_prompt = agreement.by_prompt(counted)
    if not by_prompt:
        return None
    low = high = None
    if len(by_prompt) > 1:
        low, high = bootstrap.interval(by_prompt, draws=DRAWS)
    return Agreement(
        name=criterion.name,
        question=criterion.question,
        kind=criterion.kind,
        share=bootstrap.ratio(by_prompt),
        alpha=agreement.alpha(units.values(), numbers=criterion.kind == Kind.SCALE),
        compared=sum(compared for _agreed, compared in by_prompt),
        prompts=len(by_prompt),
        low=low,
        high=high,
    )
