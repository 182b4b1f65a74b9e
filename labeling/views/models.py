"""Model versions, with the judgments behind them."""

from __future__ import annotations

from django.db.models import Count, Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from labeling.models import Candidate, DatasetRanking
from modelops import registry
from modelops.models import Alias, Metric, ModelVersion
from modelops.results import final_table, recipe_rows
from people.access import ADMINS, member
from people.models import AuditEvent, Project

# What a version is known by, the first that it has.
HEADLINE = ("accuracy", "win_rate", "eval_accuracy", "loss", "reward")


def shown(project: Project):
    """A project's versions and the shared bases with all that a row shows, newest first, in a constant number of queries."""
    here = Prefetch("aliases", Alias.objects.filter(project=project))
    found = registry.visible(project).select_related("job__reward_model", "parent", "dataset").prefetch_related(here)
    return found.order_by("-pk")


def with_figures(versions: list[ModelVersion]) -> list[ModelVersion]:
    """Hang its headline figure and the number of rankings behind it on each version."""
    figures = Metric.objects.filter(
        job__in=[v.job_id for v in versions if v.job_id], step=None, name__in=HEADLINE, slice__in=("held-out", "")
    )
    by_job: dict[int, list[Metric]] = {}
    for metric in figures:
        by_job.setdefault(metric.job_id, []).append(metric)
    behind = rankings_behind({v.dataset_id for v in versions if v.dataset_id})
    for version in versions:
        found = by_job.get(version.job_id, [])
        version.headline = min(
            found, key=lambda metric: (HEADLINE.index(metric.name), metric.slice == ""), default=None
        )
        version.rankings = behind.get(version.dataset_id, 0)
    return versions


def rankings_behind(dataset_ids: set[int]) -> dict[int, int]:
    held = DatasetRanking.objects.filter(dataset__in=dataset_ids)
    return dict(held.values_list("dataset").annotate(Count("pk")).values_list("dataset", "pk__count"))


@member(*ADMINS)
@require_GET
def model_list(request: HttpRequest) -> HttpResponse:
    versions = with_figures(list(shown(request.project)[:200]))
    return render(
        request, "modelops/models.html", {"versions": versions, "champion": registry.champion(request.project)}
    )


@member(*ADMINS)
@require_GET
def model(request: HttpRequest, pk: int) -> HttpResponse:
    """A version, all that it came from, and what came of it."""
    version = get_object_or_404(shown(request.project), pk=pk)
    line = with_figures(registry.lineage(version))
    judges = with_figures(registry.judges(line))
    context = {
        "version": version,
        "line": line,
        "rankings": sum({step.dataset_id: step.rankings for step in line + judges}.values()),
        "children": with_figures(list(shown(request.project).filter(parent=version))),
        "answers": Candidate.objects.filter(model_version=version, prompt__project=request.project).count(),
        "final": final_table(version.job) if version.job else [],
        "recipe": recipe_rows(version.job) if version.job else [],
        "is_champion": version.aliases.filter(project=request.project, name="champion").exists(),
        "previous": previous_champion(request.project, version),
        "moves": moves(request.project),
    }
    return render(request, "labeling/model.html", context)


def moves(project: Project):
    """The newest promotions."""
    return AuditEvent.objects.filter(project=project, verb="promote").select_related("actor").order_by("-pk")[:10]


def previous_champion(project: Project, version: ModelVersion) -> ModelVersion | None:
    """What was champion before this version became it: promoting it again is the undo."""
    last = AuditEvent.objects.filter(project=project, verb="promote").order_by("-pk").first()
    if last is None or last.data.get("version") != version.name or last.data.get("before") in (None, version.name):
        return None
    return registry.policies(project).filter(name=last.data["before"]).first()
