"""What a freeze would hold, before it is asked for: counted, or estimated where there is much."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, QuerySet
from django.db.models.functions import TruncDate
from django.utils.translation import gettext as _

from labeling.exports import contamination, freeze, selection
from labeling.exports.statistics import RowStatistics, share
from labeling.models import Candidate, Prompt, Ranking
from modelops import charts
from modelops.charts import Bars, Chart
from modelops.models import Dataset
from modelops.recipes import FreezeRecipe
from people.models import Project, User

EXACT = 2_000  # judgments, or texts, that are counted one by one
SAMPLE = 500  # tasks that are drawn where there are more judgments
BARS = 8
Judged = list[tuple[Ranking, list[int]]]  # rankings of one task, with their ranks


@dataclass
class Preview:
    """What would be frozen: rows, judgments and pairs after all that the recipe leaves out.

    Counted one by one, but where `sampled`: then estimated from tasks that are drawn at random.
    """

    rows: int = 0
    judgments: int = 0
    pairs: int = 0
    good: int = 0  # answers with such a label, as KTO learns them
    bad: int = 0
    sampled: bool = False
    looked_at: int = 0  # judgments that were chosen and read, and of them those that stay
    kept: int = 0
    apart: bool = False  # whether training rows nearly like a held-out one are left out
    near: int | None = None  # how many; None: not counted
    statistics: RowStatistics = field(default_factory=RowStatistics)
    first_wins: float | None = None
    splits: list[tuple[str, int]] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    bars: list[Bars | None] = field(default_factory=list)


def preview(project: Project, recipe: FreezeRecipe, names: bool) -> Preview:
    """What a freeze would hold, in a number of queries that stops growing at EXACT judgments."""
    if recipe.kind != Dataset.Kind.JUDGMENTS:
        return _of_texts(project, recipe)
    chosen = selection.rankings(project, recipe)
    preview = _of_judgments(chosen, recipe)
    days = chosen.annotate(day=TruncDate("created_at")).values_list("day").annotate(n=Count("pk"))
    by_day = list(enumerate((n for _day, n in days.order_by("day")), start=1))
    chart = charts.chart(_("judgments a day"), by_day)
    preview.charts = [chart] if chart else []
    total, models = sum(n for _day, n in by_day), preview.statistics.models
    preview.bars = [
        charts.bars(_("judgments by labeler"), _by_labeler(chosen, total, names)),
        charts.bars(_("answers by model"), with_others(models.most_common(BARS), models.total())),
    ]
    return preview


def _of_judgments(chosen: QuerySet[Ranking], recipe: FreezeRecipe) -> Preview:
    """Up to EXACT judgments, or those of up to SAMPLE tasks, are all read; of more SAMPLE tasks."""
    counted = chosen.aggregate(judgments=Count("pk"), tasks=Count("task", distinct=True))
    sampled = counted["judgments"] > EXACT and counted["tasks"] > SAMPLE
    preview = Preview(apart=recipe.apart, sampled=sampled)
    every = chosen.order_by("task").values_list("task", flat=True).distinct()
    tasks = drawn(every, counted["tasks"]) if sampled else list(every)
    kept = _kept(preview, chosen, recipe, tasks)
    if recipe.apart and not preview.sampled:
        near = contamination.near_held_out(lambda: (row for row, _task, _judged in kept))
        preview.near = len(near)
        kept = [part for place, part in enumerate(kept) if place not in near]
    earlier = shown = 0
    for row, task, judged in kept:
        preview.statistics.add(row, freeze.judge_kinds(judged))
        for ranking, ranks in judged:
            won, pairs = first_wins(ranking, ranks, task.answers)
            earlier, shown = earlier + won, shown + pairs
    preview.first_wins = share(earlier, shown)
    of_tasks = counted["tasks"] / len(tasks) if tasks else 0
    of_judgments = counted["judgments"] / preview.looked_at if preview.looked_at else 0
    preview.rows = round(len(kept) * of_tasks)
    preview.judgments = round(sum(len(judged) for _row, _task, judged in kept) * of_judgments)
    for name in ("pairs", "good", "bad"):
        setattr(preview, name, round(getattr(preview.statistics, name) * of_judgments))
    return preview


def drawn(tasks: QuerySet[Ranking, int], count: int) -> list[int]:
    """SAMPLE of the `count` tasks at random, in their order; a million of them are never in memory
    at once.
    """
    places = set(random.Random(0).sample(range(count), SAMPLE))
    return [task for place, task in enumerate(tasks.iterator()) if place in places]


def _kept(
    preview: Preview, chosen: QuerySet[Ranking], recipe: FreezeRecipe, tasks: list[int]
) -> list[tuple[dict[str, Any], Any, Judged]]:
    """(row, task with its `answers`, its rankings) of the tasks of which the recipe keeps
    something.
    """
    kept = []
    for start in range(0, len(tasks), freeze.BATCH):
        batch = tasks[start : start + freeze.BATCH]
        for task, judged in freeze.with_judgments(chosen, batch):
            preview.looked_at += len(judged)
            judged = selection.keep(judged, recipe)
            preview.kept += len(judged)
            if judged:
                kept.append((freeze.as_row(task, judged), task, judged))
    return kept


def _of_texts(project: Project, recipe: FreezeRecipe) -> Preview:
    """Written answers, prompts, or texts of both, by split."""
    prompts = selection.prompts(project, recipe)
    answers = selection.demonstrations(project, recipe)
    splits: Counter[str] = Counter()
    if recipe.kind == Dataset.Kind.TEXT:  # a prompt with each of its answers, or alone
        prompts = prompts.exclude(pk__in=answers.values("prompt"))
    if recipe.kind != Dataset.Kind.DEMONSTRATIONS:
        splits.update(dict(_by_split(prompts, "split")))
    if recipe.kind != Dataset.Kind.PROMPTS:
        splits.update(dict(_by_split(answers, "prompt__split")))
    preview = Preview(apart=recipe.apart, rows=splits.total())
    if recipe.apart and preview.rows <= EXACT:
        preview.near = len(
            contamination.near_held_out(lambda: freeze.ROWS[recipe.kind](project, recipe))
        )
        splits["train"] -= preview.near
        preview.rows -= preview.near
    preview.splits = [(split, splits[split]) for split in Prompt.Split.values if splits[split]]
    return preview


def _by_split(chosen: QuerySet[Any], split: str) -> QuerySet[Any, tuple[str, int]]:
    counted: QuerySet[Any, tuple[str, int]]
    counted = chosen.order_by(split).values_list(split).annotate(n=Count("pk"))
    return counted


def first_wins(ranking: Ranking, ranks: list[int], answers: list[Candidate]) -> tuple[int, int]:
    """(pairs that the answer shown earlier wins, pairs)."""
    place = {ranked.candidate_id: ranked.shown for ranked in ranking.ranked.all()}
    pairs = [(i, j) for i in range(len(ranks)) for j in range(len(ranks)) if ranks[i] < ranks[j]]
    return sum(place[answers[i].pk] < place[answers[j].pk] for i, j in pairs), len(pairs)


def _by_labeler(chosen: QuerySet[Ranking], total: int, names: bool) -> list[tuple[str, int]]:
    """The busiest labelers: by name for those who may know them, in numbers for others."""
    counted = (
        chosen.order_by().values_list("labeler").annotate(n=Count("pk")).order_by("-n", "labeler")
    )
    rows = list(counted[:BARS])
    known = User.objects.in_bulk([pk for pk, _n in rows if pk]) if names else {}
    labels = [
        _("imported") if pk is None else str(known[pk]) if names else f"#{pk}" for pk, _n in rows
    ]
    return with_others([(label, n) for label, (_pk, n) in zip(labels, rows, strict=True)], total)


def with_others(shown: list[tuple[str, int]], total: int) -> list[tuple[str, int]]:
    rest = total - sum(n for _label, n in shown)
    return [*shown, (_("others"), rest)] if rest > 0 else shown
