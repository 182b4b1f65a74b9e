"""Select the prompts, demonstrations and rankings that a freeze recipe asks for."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.db.models import Exists, OuterRef, Q, QuerySet

from labeling.models import Candidate, DatasetRanking, Demonstration, Prompt, Ranking
from labeling.stats import agreement
from modelops.models import Dataset
from modelops.recipes import FreezeRecipe, InvalidRecipe
from people.models import Project

Work = TypeVar("Work", bound=QuerySet[Any])

# Other days have no time in some time zone, or no day after them.
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(9998, 12, 31)


def prompts(project: Project, recipe: FreezeRecipe) -> QuerySet[Prompt]:
    filters = _prompt_filter(recipe) & _date_filter(project, recipe)
    return Prompt.objects.filter(filters, project=project, published=True)


def demonstrations(project: Project, recipe: FreezeRecipe) -> QuerySet[Demonstration | Candidate]:
    """The answers to imitate: demonstrations, or answers that a reward model chose."""
    filters = _prompt_filter(recipe, "prompt__") & _date_filter(project, recipe)
    filters &= Q(prompt__project=project, prompt__published=True)
    if recipe.answers == "chosen":
        candidates = Candidate.objects.filter(filters, reward__isnull=False, duplicate=False)
        if recipe.models:
            candidates = candidates.filter(model_version__name__in=lines(recipe.models))
        return candidates
    return _without_labelers(Demonstration.objects.filter(filters), recipe)


def rankings(project: Project, recipe: FreezeRecipe) -> QuerySet[Ranking]:
    """Current rankings of published prompts. If the recipe replaces a dataset: the rankings that
    the old dataset held.

    All filters are conditions on one row, so that a query for the next batch of tasks can stop
    early.
    """
    if recipe.replaces:
        replaced = Dataset.objects.filter(project=project, digest=recipe.replaces)
        pk = replaced.values_list("pk", flat=True).first()
        in_dataset = Exists(DatasetRanking.objects.filter(dataset=pk, ranking=OuterRef("pk")))
        held = Ranking.objects.filter(in_dataset, task__project=project)
        return held.exclude(labeler__in=lines(recipe.without))
    rankings = Ranking.objects.filter(
        _prompt_filter(recipe, "task__prompt__") & _date_filter(project, recipe),
        task__project=project,
        task__purpose=recipe.purpose,
        task__prompt__published=True,
        current=True,
    )
    if recipe.adjudicated and recipe.judges:
        raise InvalidRecipe("judges", "leads adjudicate: with adjudicated only, choose no kinds")
    if recipe.adjudicated:
        rankings = rankings.filter(kind=Ranking.Kind.ADJUDICATED)
    elif recipe.judges:
        rankings = rankings.of_kinds(lines(recipe.judges))
    else:
        rankings = rankings.of_judges()
    if recipe.models:
        names = lines(recipe.models)
        by_models = Candidate.objects.filter(tasks=OuterRef("task"), model_version__name__in=names)
        rankings = rankings.filter(Exists(by_models))
    return _without_labelers(rankings, recipe)


def _without_labelers(work: Work, recipe: FreezeRecipe) -> Work:
    """Leave out the work of the labelers that the recipe excludes."""
    return work.exclude(labeler__in=lines(recipe.without)) if recipe.without else work


def lines(text: str) -> list[str]:
    """The lines of a text, without those that are empty."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _prompt_filter(recipe: FreezeRecipe, prefix: str = "") -> Q:
    """The condition on prompts; `prefix` is the lookup path from the table to its prompt."""
    wanted = {"use_case": recipe.use_case, "language": recipe.language}
    return Q(**{f"{prefix}{name}": value for name, value in wanted.items() if value})


def _date_filter(project: Project, recipe: FreezeRecipe) -> Q:
    """From `since` to the end of `until`, whole days in the project's time zone."""
    condition, zone = Q(), ZoneInfo(project.zone)
    if recipe.since:
        condition &= Q(
            created_at__gte=datetime.combine(_day("since", recipe.since), time.min, zone)
        )
    if recipe.until:
        after = _day("until", recipe.until) + timedelta(days=1)
        condition &= Q(created_at__lt=datetime.combine(after, time.min, zone))
    return condition


def _day(field: str, text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InvalidRecipe(field, "must be a day like 2026-05-31") from None
    if not FIRST_DAY <= day <= LAST_DAY:
        raise InvalidRecipe(field, f"must lie between {FIRST_DAY} and {LAST_DAY}")
    return day


# Filters that need all rankings of a task


def keep(
    judged: list[tuple[Ranking, list[int]]], recipe: FreezeRecipe
) -> list[tuple[Ranking, list[int]]]:
    """Of the rankings of one task, those that the recipe's filters on ties and agreement keep.

    Each ranking comes with its ranks; the ranks are empty if nothing was ranked.
    """
    if not recipe.ties:
        judged = [(ranking, ranks) for ranking, ranks in judged if len(set(ranks)) == len(ranks)]
    if recipe.agreement and not recipe.adjudicated:
        independent = (ranks for ranking, ranks in judged if not ranking.prompted)
        agreed, compared = agreement.task_agreement(independent)
        if not compared or agreed / compared < recipe.agreement:
            return []
    return judged
