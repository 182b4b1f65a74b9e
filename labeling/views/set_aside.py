"""Tasks that several labelers skipped: an admin puts them back, or retires them."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from labeling.models import Assignment, RankingTask
from labeling.queue import set_aside
from labeling.views.quality import task_or_404
from people.access import ADMINS, member

PER_PAGE = 50


def with_skips() -> Prefetch:
    """Hangs on each task, as `skipped`, who skipped it and why."""
    skipped = (
        Assignment.objects.filter(state=Assignment.State.SKIPPED)
        .select_related("labeler")
        .order_by("ended_at")
    )
    return Prefetch("assignments", skipped, to_attr="skipped")


@member(*ADMINS)
@require_GET
def set_aside_list(request: HttpRequest) -> HttpResponse:
    tasks = RankingTask.objects.filter(
        project=request.project, state=RankingTask.State.SET_ASIDE
    ).order_by("pk")
    tasks = tasks.select_related("prompt").prefetch_related(with_skips())
    page = Paginator(tasks, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "labeling/quality/set_aside.html", {"page": page})


@member(*ADMINS)
@require_POST
def task_put_back(request: HttpRequest, pk: int) -> HttpResponse:
    set_aside.put_back(request.user, task_or_404(request, pk))
    return redirect("set-aside", request.project.slug)


@member(*ADMINS)
@require_POST
def task_retire(request: HttpRequest, pk: int) -> HttpResponse:
    set_aside.retire(request.user, task_or_404(request, pk))
    return redirect("set-aside", request.project.slug)
