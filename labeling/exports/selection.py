"""What a freeze takes: the prompts, demonstrations and rankings that its recipe chooses."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Exists, OuterRef, Q, QuerySet

from labeling.models import Candidate, DatasetRanking, Demonstration, Prompt, Ranking
from labeling.stats import agreement
from modelops.models import Dataset
from modelops.recipes import FreezeRecipe, InvalidRecipe
from people.models import Project


def prompts(project: Project, recipe: FreezeRecipe) -> QuerySet[Prompt]:
    chosen = _of_prompt(recipe) & _between(project, recipe)
    return Prompt.objects.filter(chosen, project=project, published=True)


def demonstrations(
    project: Project, recipe: FreezeRecipe
) -> QuerySet[Demonstration] | QuerySet[Candidate]:
    """The texts that are to be imitated, each with its prompt."""
    chosen = _of_prompt(recipe, "prompt__") & _between(project, recipe)
    chosen &= Q(prompt__project=project, prompt__published=True)
    if recipe.answers == "chosen":
        found = Candidate.objects.filter(chosen, reward__isnull=False, duplicate=False)
        return (
            found.filter(model_version__name__in=lines(recipe.models)) if recipe.models else found
        )
    found = Demonstration.objects.filter(chosen)
    return found.exclude(labeler__in=lines(recipe.without)) if recipe.without else found


def rankings(project: Project, recipe: FreezeRecipe) -> QuerySet[Ranking]:
    """Current rankings of published prompts, and of what replaces a dataset those that it held.

    Conditions ask of each row, so that a batch in the order of tasks stops early and reads no more
    than it takes.
    """
    if recipe.replaces:
        old = (
            Dataset.objects.filter(project=project, digest=recipe.replaces)
            .values_list("pk", flat=True)
            .first()
        )
        held = Exists(DatasetRanking.objects.filter(dataset=old, ranking=OuterRef("pk")))
        return Ranking.objects.filter(held, task__project=project).exclude(
            labeler__in=lines(recipe.without)
        )
    chosen = _of_prompt(recipe, "task__prompt__") & _between(project, recipe)
    found = Ranking.objects.filter(
        chosen,
        task__project=project,
        task__purpose=recipe.purpose,
        task__prompt__published=True,
        current=True,
    )
    found = found.filter(kind=Ranking.Kind.ADJUDICATED) if recipe.adjudicated else found.of_judges()
    if recipe.models:
        names = lines(recipe.models)
        found = found.filter(
            Exists(Candidate.objects.filter(tasks=OuterRef("task"), model_version__name__in=names))
        )
    return found.exclude(labeler__in=lines(recipe.without)) if recipe.without else found


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _of_prompt(recipe: FreezeRecipe, to: str = "") -> Q:
    asked = {"use_case": recipe.use_case, "language": recipe.language}
    return Q(**{f"{to}{name}": value for name, value in asked.items() if value})


def _between(project: Project, recipe: FreezeRecipe) -> Q:
    """Whole days, as the project's zone has them."""
    chosen, zone = Q(), ZoneInfo(project.zone)
    if recipe.since:
        chosen &= Q(created_at__gte=datetime.combine(_day("since", recipe.since), time.min, zone))
    if recipe.until:
        after = _day("until", recipe.until) + timedelta(days=1)
        chosen &= Q(created_at__lt=datetime.combine(after, time.min, zone))
    return chosen


def _day(field: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRecipe(field, "must be a day like 2026-05-31") from None


# What only the rankings of one task together can tell


def keep(
    judged: list[tuple[Ranking, list[int]]], recipe: FreezeRecipe
) -> list[tuple[Ranking, list[int]]]:
    """Of one task's rankings, each with its ranks (none where nothing was ranked), those that the
    recipe lets in.
    """
    if not recipe.ties:
        judged = [(ranking, ranks) for ranking, ranks in judged if len(set(ranks)) == len(ranks)]
    if recipe.agreement and not recipe.adjudicated:
        agreed, compared = agreement.task_agreement(ranks for _ranking, ranks in judged)
        if not compared or agreed / compared < recipe.agreement:
            return []
    return judged
