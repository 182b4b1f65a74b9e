"""Model versions, with the judgments behind them."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from labeling.loop.lineage import rankings_in, shown, with_figures
from labeling.models import Candidate
from modelops import registry
from modelops.job_report import final_table, recipe_rows
from modelops.models import ModelVersion
from people.access import ADMINS, member
from people.models import AuditEvent, Project

PER_PAGE = 50


@member(*ADMINS)
@require_GET
def model_list(request: HttpRequest) -> HttpResponse:
    page = Paginator(shown(request.project), PER_PAGE).get_page(request.GET.get("page"))
    champion = registry.champion(request.project)
    context = {"page": page, "versions": with_figures(list(page)), "champion": champion}
    return render(request, "modelops/models/models.html", context)


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
        "rankings": rankings_in(line + judges),
        "children": with_figures(list(shown(request.project).filter(parent=version))),
        "answers": Candidate.objects.filter(
            model_version=version, prompt__project=request.project
        ).count(),
        "final": final_table(version.job) if version.job else [],
        "recipe": recipe_rows(version.job) if version.job else [],
        "is_champion": version.aliases.filter(project=request.project, name="champion").exists(),
        "previous": previous_champion(request.project, version),
        "moves": moves(request.project),
    }
    return render(request, "labeling/loop/model.html", context)


def moves(project: Project) -> QuerySet[AuditEvent]:
    """The newest promotions."""
    return (
        AuditEvent.objects.filter(project=project, verb="promote")
        .select_related("actor")
        .order_by("-pk")[:10]
    )


def previous_champion(project: Project, version: ModelVersion) -> ModelVersion | None:
    """What was champion before this version became it: promoting it again is the undo."""
    last = AuditEvent.objects.filter(project=project, verb="promote").order_by("-pk").first()
    if (
        last is None
        or last.data.get("version") != version.name
        or last.data.get("before") in (None, version.name)
    ):
        return None
    return registry.policies(project).filter(name=last.data["before"]).first()
