"""What stands behind a model version: its figures, and the judgments that it learned from."""

from __future__ import annotations

from django.db.models import Count, Prefetch, QuerySet

from labeling.models import DatasetRanking
from modelops import registry
from modelops.models import Alias, Metric, ModelVersion
from people.models import Project

# What a version is known by, the first that it has.
HEADLINE = ("accuracy", "win_rate", "eval_accuracy", "loss", "reward")


def shown(project: Project) -> QuerySet[ModelVersion]:
    """A project's versions and the shared bases with all that a row shows, newest first, in a
    constant number of queries.
    """
    here = Prefetch("aliases", Alias.objects.filter(project=project))
    versions = (
        registry.visible(project)
        .select_related("job__reward_model", "parent", "dataset")
        .prefetch_related(here)
    )
    return versions.order_by("-pk")


def with_figures(versions: list[ModelVersion]) -> list[ModelVersion]:
    """Hang its headline figure and the number of rankings behind it on each version."""
    figures = Metric.objects.filter(
        job__in=[v.job_id for v in versions if v.job_id],
        step=None,
        name__in=HEADLINE,
        slice__in=("held-out", ""),
    )
    by_job: dict[int, list[Metric]] = {}
    for metric in figures:
        by_job.setdefault(metric.job_id, []).append(metric)
    behind = rankings_behind({v.dataset_id for v in versions if v.dataset_id})
    for version in versions:
        metrics = by_job.get(version.job_id, [])
        version.headline = min(
            metrics,
            key=lambda metric: (HEADLINE.index(metric.name), metric.slice == ""),
            default=None,
        )
        version.rankings = behind.get(version.dataset_id, 0)
    return versions


def rankings_behind(dataset_ids: set[int]) -> dict[int, int]:
    held = DatasetRanking.objects.filter(dataset__in=dataset_ids)
    return dict(
        held.values_list("dataset").annotate(Count("pk")).values_list("dataset", "pk__count")
    )


def rankings_in(versions: list[ModelVersion]) -> int:
    """How many rankings stand behind versions that have their figures; a dataset of several counts
    once.
    """
    return sum({version.dataset_id: version.rankings for version in versions}.values())
