"""The answer keys of gold tasks, and the tasks on which people disagree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from labeling.judging import form, form_drafts, judgment, rankings
from labeling.judging.judgment import InvalidRanking
from labeling.models import Assignment, Ranking, RankingTask
from labeling.quality import adjudication, by_criterion, gold, recent
from labeling.queue import seen
from labeling.views import task_card
from people import idempotency
from people.access import ADMINS, LEADS, Refused, member
from people.models import User


def task_or_404(request: HttpRequest, pk: int) -> RankingTask:
    return get_object_or_404(
        RankingTask.objects.select_related("project"), project=request.project, pk=pk
    )


@dataclass
class Sheet:
    """The ranking form for who says more than a judgment: what stands above it, and what its button
    says.
    """

    paper: Assignment
    kind: Ranking.Kind  # of what it makes
    before: Ranking | None
    lede: str
    go: str
    judged: list[adjudication.Said] = field(default_factory=list)
    verdicts: bool = False  # whether it may be said that nothing can be ranked

    @property
    def task(self) -> RankingTask:
        return self.paper.task

    @property
    def person(self) -> User:
        return self.paper.labeler

    @property
    def draft_url(self) -> str:
        name = "task-gold-draft" if self.kind == Ranking.Kind.GOLD else "task-settle-draft"
        return reverse(name, args=[self.task.project.slug, self.task.pk])


@member(*ADMINS)
@never_cache
def task_gold(request: HttpRequest, pk: int) -> HttpResponse:
    """The ranking form once more: what an admin says in it is the task's answer key."""
    task = task_or_404(request, pk)
    try:
        paper = rankings.sheet(task, request.user)
    except Refused as why:
        messages.error(request, str(why))
        return redirect("prompt", request.project.slug, task.prompt_id)
    sheet = Sheet(
        paper,
        Ranking.Kind.GOLD,
        gold.key_of(task),
        "labeling/quality/_gives_key.html",
        _("Save the key"),
    )
    if sheet.before:
        seen.note(request.user, [task.pk])
    if to_fill_in := unsaved(request, sheet, gold.make):
        return to_fill_in
    messages.success(request, _("The answer key is saved: the task is gold."))
    return redirect("prompt", request.project.slug, task.prompt_id)


@member(*ADMINS)
@require_POST
def task_gold_draft(request: HttpRequest, pk: int) -> JsonResponse:
    paper = rankings.sheet(task_or_404(request, pk), request.user)
    return _keep_draft(request, paper, Ranking.Kind.GOLD)


@member(*ADMINS)
@require_POST
def task_not_gold(request: HttpRequest, pk: int) -> HttpResponse:
    task = task_or_404(request, pk)
    gold.unmake(request.user, task)
    return redirect("prompt", request.project.slug, task.prompt_id)


@member(*LEADS)
@require_GET
@never_cache
def disputes(request: HttpRequest) -> HttpResponse:
    """Disagreements, the least agreed first."""
    context = {
        "disputes": adjudication.disputes(request.project, request.user),
        "left_out": recent.left_out(request.project),
        "criteria": by_criterion.figures(request.project),
    }
    return render(request, "labeling/quality/disagreements.html", context)


def disputed_or_404(request: HttpRequest, pk: int) -> RankingTask:
    return get_object_or_404(adjudication.open_to(request.project, request.user), pk=pk)


@member(*LEADS)
@never_cache
def task_settle(request: HttpRequest, pk: int) -> HttpResponse:
    """The ranking form, with what people said: what a lead says in it settles the task.

    The next disagreement follows, unless the task was adjudicated before.
    """
    task = disputed_or_404(request, pk)
    paper, before = adjudication.sheet(task, request.user), adjudication.settled(task)
    sheet = Sheet(
        paper,
        Ranking.Kind.ADJUDICATED,
        before,
        "labeling/quality/_adjudicates.html",
        _("Adjudicate"),
        adjudication.judged(paper),
        verdicts=True,
    )
    try:
        if to_fill_in := unsaved(request, sheet, adjudication.settle):
            return to_fill_in
        messages.success(request, _("The task is adjudicated."))
    except Refused as why:
        messages.error(request, str(why))
    following = None if before else adjudication.next_open(request.project, request.user)
    if following is None:
        return redirect("disputes", request.project.slug)
    return redirect("task-settle", request.project.slug, following.pk)


@member(*LEADS)
@require_POST
def task_settle_draft(request: HttpRequest, pk: int) -> JsonResponse:
    """409 where somebody is at the task again, or it is hidden: a missing page would read as a
    log-out.
    """
    try:
        task = disputed_or_404(request, pk)
    except Http404:
        return JsonResponse({"error": "not open"}, status=409)
    paper = adjudication.sheet(task, request.user)
    return _keep_draft(request, paper, Ranking.Kind.ADJUDICATED)


@member(*LEADS)
@require_POST
def task_unsettle(request: HttpRequest, pk: int) -> HttpResponse:
    adjudication.unsettle(request.user, disputed_or_404(request, pk))
    return redirect("disputes", request.project.slug)


def _keep_draft(request: HttpRequest, paper: Assignment, kind: str) -> JsonResponse:
    """Keep what is typed so far. Nobody waits for the task, so there is no lease to renew."""
    if "renew" in request.POST:
        return JsonResponse({"renewed": True})
    form_drafts.save(paper, kind, form.typed(request.POST, paper))
    return JsonResponse({"saved": now().isoformat()})


def unsaved(request: HttpRequest, sheet: Sheet, verb: Callable) -> HttpResponse | None:
    """The form, as it was typed or saved before or with what is wrong; None once `verb` has done
    what it says.
    """
    if request.method != "POST":
        return _shown(request, sheet, _typed_before(sheet))
    typed = form.typed(request.POST, sheet.paper)
    form_drafts.save(sheet.paper, sheet.kind, typed)  # whatever becomes of it

    def once() -> dict:
        return {"ranking": verb(request.user, sheet.task, form.judgment(typed)).pk}

    try:
        idempotency.once(request.user, form.key(request.POST), once)
    except judgment.InvalidRanking as wrong:
        return _shown(request, sheet, typed, wrong)
    form_drafts.discard(sheet.paper, sheet.kind)
    return None


def _typed_before(sheet: Sheet) -> dict[str, Any]:
    """What was typed since, if anything was; else what is saved."""
    draft = form_drafts.newer_than(sheet.before, sheet.paper, sheet.kind)
    if draft is not None:
        return draft
    return form.typed_of(sheet.before, sheet.paper.order) if sheet.before else {}


def _shown(
    request: HttpRequest, sheet: Sheet, typed: dict, wrong: InvalidRanking | None = None
) -> HttpResponse:
    context = (
        task_card.around(request)
        | task_card.form_context(request.project, sheet.paper, typed, wrong)
        | {"sheet": sheet}
    )
    return render(request, "labeling/judging/form.html", context, status=422 if wrong else 200)
