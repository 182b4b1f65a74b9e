"""Where people rank: the next task, what becomes of it, and the guidelines."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from labeling.judging import form, judgment, rankings, skips
from labeling.models import Assignment
from labeling.queue import claims, leases
from labeling.queue.eligibility import NotWorking
from labeling.text import markdown
from labeling.views.task_card import after, card, page, undoable
from labeling.views.task_card_cache import fresh
from people import idempotency
from people.access import RANKERS, member
from people.db.compiled import compiled


@member(*RANKERS)
@require_GET
@never_cache
@vary_on_headers("HX-Request")
def rank(request: HttpRequest) -> HttpResponse:
    """The labeler's task, leased now if they hold none: the page, or its card alone for htmx."""
    return _next(request)


@member(*RANKERS)
@require_POST
def rank_submit(request: HttpRequest, assignment_id: int) -> HttpResponse:
    """Record the judgment once, however often the form arrives. What was typed is kept whatever
    happens.
    """
    assignment = own_or_404(request, assignment_id)
    typed, following = form.typed(request.POST, assignment), request.headers.get("Podium-Next", "")
    done: dict[str, Any] = {}

    def submit() -> dict:
        """The ranking, and whether the labeler looks at the place ahead, in one transaction; its
        receipt says no more.
        """
        done["ranking"] = rankings.submit(assignment, form.judgment(typed), draft=typed).pk
        done["opened"] = claims.open_ahead(request.membership, following)
        return {}

    try:
        _result, new = idempotency.once(request.user, form.key(request.POST), submit)
    except judgment.InvalidRanking as wrong:
        leases.save_draft(assignment, typed)
        return card(request, assignment, typed, wrong, status=422)
    except rankings.AlreadySubmitted:
        messages.info(request, _("That task was already submitted; here is the next one."))
    except claims.LeaseLost:
        leases.save_draft(assignment, typed)
        return _lost(request)
    else:
        if done["opened"] if new else claims.open_ahead(request.membership, following):
            return after(request, done["ranking"] if new else rankings.of_place(assignment))
    return go_on(request)


@member(*RANKERS)
@require_GET
@never_cache
def rank_ahead(request: HttpRequest, assignment_id: int) -> HttpResponse:
    """The card after this one, leased now so that nobody waits for it; 204 while there is none."""
    try:
        ahead = claims.lease_ahead(request.membership, assignment_id)
    except NotWorking:
        ahead = None
    if ahead is None:
        return HttpResponse(status=204)
    response = (
        card(request, ahead, ahead.draft, ahead=True) if ahead.draft else fresh(request, ahead)
    )
    response["Podium-Task"] = str(ahead.pk)
    return response


@member(*RANKERS)
@require_POST
def rank_draft(request: HttpRequest, assignment_id: int) -> JsonResponse:
    """Keep what is typed so far; this also tells that the labeler is still at it."""
    assignment = own_or_404(request, assignment_id)
    if (
        "renew" in request.POST
    ):  # nothing was typed: an older window must not write over a newer one's draft
        leases.renew(assignment)
        return JsonResponse({"renewed": True})
    save = rankings.save_revision_draft if "revises" in request.POST else leases.save_draft
    kept = save(assignment, form.typed(request.POST, assignment))
    return JsonResponse(
        {"saved": now().isoformat()} if kept else {"error": "submitted"},
        status=200 if kept else 409,
    )


@member(*RANKERS)
@require_POST
def rank_skip(request: HttpRequest, assignment_id: int) -> HttpResponse:
    assignment = own_or_404(request, assignment_id)
    reason = form.skip_reason(request.POST)
    if not reason:
        return card(
            request, assignment, assignment.draft, unskipped=_("Say why you skip it."), status=422
        )
    leases.skip(assignment, reason)
    return go_on(request)


@member(*RANKERS)
@require_POST
def rank_undo(request: HttpRequest) -> HttpResponse:
    """Take the last submit or skip back. The form names it, so that a second press doesn't undo
    the one before.
    """
    try:
        assignment = _undone(request)
    except rankings.TooLate as why:
        messages.warning(request, str(why))
        return go_on(request)
    if assignment.state == Assignment.State.SUBMITTED:
        messages.info(request, _("Your revision is undone: the ranking before it counts."))
        return go_on(request) if request.htmx else redirect("history", request.project.slug)
    if not request.htmx:
        return redirect("rank", request.project.slug)
    return card(request, assignment, assignment.draft)


def _undone(request: HttpRequest) -> Assignment:
    skipped = request.POST.get("skip")
    if skipped is None:
        last = rankings.named_last(request.project, request.user, request.POST.get("ranking"))
        return rankings.undo(last)
    if not skipped.isdecimal():
        raise Http404
    return skips.undo(own_or_404(request, int(skipped)))


@member(*RANKERS)
@require_GET
@vary_on_headers("HX-Request")
def guidelines(request: HttpRequest) -> HttpResponse:
    """What good answers are, as the project's admins wrote it: a page, or the text alone for the
    dialog.
    """
    text = request.project.guidelines
    template = (
        "labeling/judging/_guidelines.html" if request.htmx else "labeling/judging/guidelines.html"
    )
    return render(
        request,
        template,
        {"project": request.project, "html": markdown.render(text) if text else ""},
    )


def own_or_404(request: HttpRequest, assignment_id: int) -> Assignment:
    rows = _own(request.user.pk, request.project.pk, assignment_id)
    if not rows:
        raise Http404
    [assignment] = rows
    assignment.labeler, assignment.project = request.user, request.project  # read already
    return assignment


@compiled
def _own(labeler: int, project: int, pk: int):
    return Assignment.objects.filter(labeler=labeler, project=project, pk=pk)


def go_on(request: HttpRequest) -> HttpResponse:
    """After a deed: htmx gets the next card at once, a browser is sent to it."""
    return _next(request) if request.htmx else redirect("rank", request.project.slug)


def _next(request: HttpRequest) -> HttpResponse:
    try:
        assignment = claims.next_for(request.membership)
    except NotWorking as why:
        return page(
            request, "labeling/judging/_empty.html", {"paused": str(why), "undo": undoable(request)}
        )
    if assignment is None:
        nothing = claims.what_else(request.membership) | {"undo": undoable(request)}
        return page(request, "labeling/judging/_empty.html", nothing)
    return card(request, assignment, assignment.draft)


def _lost(request: HttpRequest) -> HttpResponse:
    return page(request, "labeling/judging/_empty.html", {"lost": True}, status=409)
