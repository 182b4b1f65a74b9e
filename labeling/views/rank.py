"""Where people rank: the next task, what becomes of it, and the guidelines.

What a labeler must not know (who wrote an answer, its id, its scores) never enters a context here.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.cache import cache
from django.db.models import Count, Min, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.safestring import SafeString
from django.utils.timezone import localtime, now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from labeling import assignment as assignments
from labeling import forms, markdown, ranking
from labeling.models import Assignment, Candidate, Ranking, RankingTask
from people import receipts
from people.access import RANKERS, member
from people.models import Project

ROLES = {"system": gettext_lazy("System"), "user": gettext_lazy("User"), "assistant": gettext_lazy("Assistant")}
ORDINALS = [gettext_lazy(text) for text in ("1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th")]
PROGRESS_SECONDS = 15  # counting a million tasks takes a while, and nobody needs it to the second


@dataclass(frozen=True)
class Shown:
    """An answer as the labeler sees it: a letter and a text, and what was said of it so far."""

    letter: str
    html: SafeString
    rank: int | None
    rating: int | None
    flags: list[str]
    error: str = ""


@member(*RANKERS)
@require_GET
@never_cache
@vary_on_headers("HX-Request")
def rank(request: HttpRequest) -> HttpResponse:
    """The labeler's task, leased now if they hold none: the page, or its card alone when htmx asks."""
    return _next(request)


@member(*RANKERS)
@require_POST
def rank_submit(request: HttpRequest, assignment_id: int) -> HttpResponse:
    """Record the judgment once, however often the form arrives. What was typed is kept whatever happens."""
    assignment = _own_or_404(request, assignment_id)
    typed = forms.typed(request.POST, len(assignment.order))
    try:
        receipts.once(request.user, forms.key(request.POST), lambda: _submit(assignment, typed))
    except ranking.InvalidRanking as wrong:
        assignments.save_draft(assignment, typed)
        return _card(request, assignment, typed, wrong, status=422)
    except ranking.AlreadySubmitted:
        messages.info(request, _("That task was submitted already; here is the next one."))
    except assignments.LeaseLost:
        assignments.save_draft(assignment, typed)
        return _lost(request)
    return _go_on(request)


def _submit(assignment: Assignment, typed: dict[str, Any]) -> dict[str, Any]:
    assignments.save_draft(assignment, typed)  # undo shows it again
    return {"ranking": ranking.submit(assignment, forms.judgment(typed)).pk}


@member(*RANKERS)
@require_POST
def rank_draft(request: HttpRequest, assignment_id: int) -> JsonResponse:
    """Keep what is typed so far; this also tells that the labeler is still at it."""
    assignment = _own_or_404(request, assignment_id)
    if "renew" in request.POST:  # nothing was typed: an older window must not write over a newer one's draft
        assignments.renew(assignment)
        return JsonResponse({"renewed": True})
    kept = assignments.save_draft(assignment, forms.typed(request.POST, len(assignment.order)))
    return JsonResponse({"saved": now().isoformat()} if kept else {"error": "submitted"}, status=200 if kept else 409)


@member(*RANKERS)
@require_POST
def rank_skip(request: HttpRequest, assignment_id: int) -> HttpResponse:
    assignment = _own_or_404(request, assignment_id)
    reason = forms.skip_reason(request.POST)
    if not reason:
        return _card(request, assignment, assignment.draft, unskipped=_("Say why you skip it."), status=422)
    assignments.skip(assignment, reason)
    return _go_on(request)


@member(*RANKERS)
@require_POST
def rank_undo(request: HttpRequest) -> HttpResponse:
    """Take the last submit back. The form names its ranking, so that a second press doesn't undo the one before."""
    last = ranking.last_of(request.project, request.user)
    try:
        if last is None or str(last.pk) != request.POST.get("ranking"):
            raise ranking.TooLate(_("There is nothing to undo: it was undone already, or is too long ago."))
        assignment = ranking.undo(last)
    except ranking.TooLate as why:
        messages.warning(request, str(why))
        return _go_on(request)
    if not request.htmx:
        return redirect("rank", request.project.slug)
    return _card(request, assignment, assignment.draft)


@member(*RANKERS)
@require_GET
@vary_on_headers("HX-Request")
def guidelines(request: HttpRequest) -> HttpResponse:
    """What good answers are, as the project's admins wrote it: a page, or the text alone for the dialog."""
    text = request.project.guidelines
    template = "labeling/_guidelines.html" if request.htmx else "labeling/guidelines.html"
    return render(request, template, {"project": request.project, "html": markdown.render(text) if text else ""})


def _own_or_404(request: HttpRequest, assignment_id: int) -> Assignment:
    own = Assignment.objects.filter(labeler=request.user, project=request.project)
    return get_object_or_404(own.select_related("project", "labeler"), pk=assignment_id)


def _go_on(request: HttpRequest) -> HttpResponse:
    """After a deed: htmx gets the next card at once, a browser is sent to it."""
    return _next(request) if request.htmx else redirect("rank", request.project.slug)


def _next(request: HttpRequest) -> HttpResponse:
    try:
        assignment = assignments.next_for(request.membership)
    except assignments.NotWorking as why:
        return _page(request, "labeling/_empty.html", {"paused": str(why)})
    if assignment is None:
        return _page(request, "labeling/_empty.html", _elsewhere(request))
    return _card(request, assignment, assignment.draft)


def _lost(request: HttpRequest) -> HttpResponse:
    return _page(request, "labeling/_empty.html", {"lost": True}, status=409)


def _elsewhere(request: HttpRequest) -> dict[str, Any]:
    """How many tasks others hold just now, and when the first of them may come back."""
    held = Assignment.objects.filter(project=request.project, state=Assignment.State.LEASED)
    return held.exclude(labeler=request.user).aggregate(others=Count("pk"), free_at=Min("leased_until"))


def _card(
    request: HttpRequest, assignment: Assignment, typed: dict[str, Any],
    wrong: ranking.InvalidRanking | None = None, unskipped: str = "", status: int = 200,
) -> HttpResponse:  # fmt: skip
    last = ranking.last_of(request.project, request.user)
    context = {
        "assignment_id": assignment.pk,
        "key": uuid.uuid4(),
        "turns": _turns(assignment),
        "answers": _answers(assignment, typed, wrong),
        "ordinals": list(enumerate(ORDINALS[: len(assignment.order)], 1)),
        "typed": typed,
        "labels": ranking.LABELS.items(),
        "flags": ranking.FLAGS.items(),
        "ratings": forms.RATINGS,
        "outcomes": Ranking.Outcome.choices,
        "skip_reasons": forms.SKIP_REASONS.items(),
        "error": "" if wrong is None or wrong.letter else str(wrong),
        "unskipped": unskipped,
        "undo": last.pk if last else None,
    }
    return _page(request, "labeling/_task.html", context, status)


def _turns(assignment: Assignment) -> list[tuple[str, str, str]]:
    messages_ = RankingTask.objects.values_list("prompt__messages", flat=True).get(pk=assignment.task_id)
    return [(turn["role"], ROLES[turn["role"]], turn["content"]) for turn in messages_]


def _answers(assignment: Assignment, typed: dict, wrong: ranking.InvalidRanking | None) -> list[Shown]:
    texts = dict(Candidate.objects.filter(pk__in=assignment.order).values_list("pk", "text"))
    said = {field: typed.get(field, {}) for field in ("rank", "rating", "flags")}
    return [
        Shown(
            letter,
            markdown.render(texts[candidate]),
            said["rank"].get(letter),
            said["rating"].get(letter),
            said["flags"].get(letter, []),
            str(wrong) if wrong is not None and wrong.letter == letter else "",
        )
        for letter, candidate in zip(ranking.LETTERS, assignment.order)
    ]


def _page(request: HttpRequest, fragment: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """The fragment alone when htmx asks, else the whole page around it."""
    context |= {"project": request.project, "fragment": fragment}
    context |= {"today": _today(request), "progress": _progress(request.project)}
    return render(request, fragment if request.htmx else "labeling/rank.html", context, status=status)


def _today(request: HttpRequest) -> int:
    """What this person has submitted here since midnight of their own zone."""
    midnight = localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    own = Assignment.objects.filter(labeler=request.user, project=request.project)
    return own.filter(state=Assignment.State.SUBMITTED, ended_at__gte=midnight).count()


def _progress(project: Project) -> int | None:
    """Percent of all places that are ranked; None while there are no tasks."""
    return cache.get_or_set(f"progress-{project.pk}", lambda: _count_progress(project), PROGRESS_SECONDS)


def _count_progress(project: Project) -> int | None:
    places = RankingTask.objects.filter(project=project, sort_key__isnull=False).aggregate(all=Sum("overlap"))["all"]
    done = Assignment.objects.filter(project=project, state=Assignment.State.SUBMITTED, task__sort_key__isnull=False)
    return int(100 * done.count() / places) if places else None
