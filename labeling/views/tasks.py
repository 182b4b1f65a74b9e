"""What an admin does with tasks: decide on those that labelers skipped, and give gold ones their answer key."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from labeling import forms, gold, ranking, set_aside
from labeling.models import Assignment, RankingTask
from labeling.views import card
from people import receipts
from people.access import ADMINS, member

PER_PAGE = 50


def with_skips() -> Prefetch:
    """Hangs on each task, as `skipped`, who skipped it and why."""
    skipped = Assignment.objects.filter(state=Assignment.State.SKIPPED).select_related("labeler").order_by("ended_at")
    return Prefetch("assignments", skipped, to_attr="skipped")


@member(*ADMINS)
@require_GET
def set_aside_list(request: HttpRequest) -> HttpResponse:
    tasks = RankingTask.objects.filter(project=request.project, state=RankingTask.State.SET_ASIDE).order_by("pk")
    tasks = tasks.select_related("prompt").prefetch_related(with_skips())
    page = Paginator(tasks, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "labeling/set_aside.html", {"page": page})


def task_or_404(request: HttpRequest, pk: int) -> RankingTask:
    return get_object_or_404(RankingTask.objects.select_related("project"), project=request.project, pk=pk)


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


@member(*ADMINS)
@never_cache
def task_gold(request: HttpRequest, pk: int) -> HttpResponse:
    """The ranking form once more: what an admin says in it is the task's answer key."""
    task = task_or_404(request, pk)
    sheet = gold.sheet(task, request.user)
    if request.method != "POST":
        key = gold.key_of(task)
        return _sheet(request, sheet, forms.typed_of(key) if key else {})
    typed = forms.typed(request.POST, sheet)
    try:
        receipts.once(request.user, forms.key(request.POST), lambda: _make(request, task, typed))
    except ranking.InvalidRanking as wrong:
        return _sheet(request, sheet, typed, wrong)
    messages.success(request, _("The answer key is saved: the task is gold."))
    return redirect("prompt", request.project.slug, task.prompt_id)


def _make(request: HttpRequest, task: RankingTask, typed: dict) -> dict:
    return {"ranking": gold.make(request.user, task, forms.judgment(typed)).pk}


def _sheet(request: HttpRequest, sheet: Assignment, typed: dict, wrong=None) -> HttpResponse:
    context = card.around(request) | card.form(request.project, sheet, typed, wrong) | {"gold": sheet.task}
    return render(request, "labeling/gold.html", context, status=422 if wrong else 200)


@member(*ADMINS)
@require_POST
def task_not_gold(request: HttpRequest, pk: int) -> HttpResponse:
    task = task_or_404(request, pk)
    gold.unmake(request.user, task)
    return redirect("prompt", request.project.slug, task.prompt_id)
