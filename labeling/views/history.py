"""What a labeler has ranked: found again, looked at, and thought about a second time."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from labeling.judging import form, judgment, rankings
from labeling.models import Assignment, RankedCandidate, Ranking
from labeling.text.conversations import as_stored
from labeling.views.judging import own_or_404
from labeling.views.task_card import around, card, undoable
from people import idempotency
from people.access import RANKERS, member

PER_PAGE = 30


@member(*RANKERS)
@require_GET
@never_cache
def history(request: HttpRequest) -> HttpResponse:
    """This labeler's rankings, newest first, searched in prompts and in their own notes."""
    query_text = request.GET.get("q", "").strip()
    page = Paginator(own_rankings(request, query_text), PER_PAGE).get_page(request.GET.get("page"))
    for assignment in page.object_list:
        revisions = assignment.rankings.all()
        assignment.ranking = next((ranking for ranking in revisions if ranking.current), None)
        assignment.says = in_letters(assignment.ranking) if assignment.ranking else ""
        assignment.revisions = max(len(revisions) - 1, 0)  # what was undone is no revision
    query = urlencode({"q": query_text}) + "&" if query_text else ""
    context = around(request) | {
        "page": page,
        "asked": query_text,
        "query": query,
        "undo": undoable(request),
    }
    return render(request, "labeling/judging/history.html", context)


def own_rankings(request: HttpRequest, query_text: str) -> QuerySet[Assignment]:
    own = Assignment.objects.filter(
        labeler=request.user, project=request.project, state=Assignment.State.SUBMITTED
    ).order_by("-ended_at")
    if query_text:
        in_note = Q(rankings__note__icontains=query_text, rankings__current=True)
        own = own.filter(
            Q(task__prompt__messages__icontains=as_stored(query_text)) | in_note
        ).distinct()
    standing = Ranking.objects.filter(undone_at=None).prefetch_related(
        Prefetch("ranked", RankedCandidate.objects.order_by("rank", "shown"))
    )
    return own.select_related("task__prompt").prefetch_related(Prefetch("rankings", standing))


def in_letters(ranking: Ranking) -> str:
    """The ranking in the letters that it was made with."""
    return rankings.in_letters(ranking, lambda answer: judgment.LETTERS[answer.shown])


@member(*RANKERS)
@never_cache
def revise(request: HttpRequest, assignment_id: int) -> HttpResponse:
    """One ranking again, to think about a second time; saving it adds a revision."""
    assignment = own_or_404(request, assignment_id)
    revisions = list(assignment.rankings.filter(undone_at=None).order_by("-revision"))
    if not revisions or not revisions[0].current:
        messages.info(request, _("You have no current ranking of this task."))
        return redirect("history", request.project.slug)
    if request.method == "POST":
        return _save(request, assignment, revisions)
    return _card(request, assignment, _draft(assignment, revisions[0]), revisions)


def _save(request: HttpRequest, assignment: Assignment, revisions: list[Ranking]) -> HttpResponse:
    typed = form.typed(request.POST, assignment)
    try:
        idempotency.once(request.user, form.key(request.POST), lambda: _revise(assignment, typed))
    except judgment.InvalidRanking as wrong:
        rankings.save_revision_draft(assignment, typed)
        return _card(request, assignment, typed, revisions, wrong=wrong, status=422)
    except rankings.NothingToRevise:
        messages.info(request, _("You have no current ranking of this task."))
    else:
        messages.success(request, _("Your revision is saved; the earlier ranking is kept."))
    return redirect("history", request.project.slug)


def _revise(assignment: Assignment, typed: dict) -> dict:
    rankings.save_revision_draft(assignment, typed)
    return {"ranking": rankings.revise(assignment, form.judgment(typed)).pk}


def _draft(assignment: Assignment, current: Ranking) -> dict:
    """What was typed since, if anything was; else the ranking as it stands."""
    newer = assignment.draft_at is not None and assignment.draft_at > current.created_at
    return assignment.draft if newer else form.typed_of(current)


def _card(
    request: HttpRequest, assignment: Assignment, typed: dict, revisions: list[Ranking], **context
) -> HttpResponse:
    earlier = [(ranking.created_at, in_letters(ranking)) for ranking in revisions]
    return card(request, assignment, typed, revises=revisions[0].pk, earlier=earlier, **context)
