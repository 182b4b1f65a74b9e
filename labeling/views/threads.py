"""Questions about tasks: asked on the ranking page, answered by leads, listed with what is open.

Nobody is named, and no page says which model wrote an answer. Whoever reads another person's thread
has seen the task, and gets no place on it any more.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from labeling.judging import form, threads
from labeling.models import Assignment, Message, Thread
from labeling.queue import seen
from labeling.views import task_card
from labeling.views.judging import own_or_404
from people import idempotency, pseudonyms
from people.access import RANKERS, Refused, member

PER_PAGE = 30


@member(*RANKERS)
@require_GET
@never_cache
def thread_list(request: HttpRequest) -> HttpResponse:
    """One's own threads, for leads those of all, the newest word first; the open ones unless
    `?all` asks for more.
    """
    newest = Message.objects.filter(thread=OuterRef("pk")).order_by("-pk")
    shown = threads.visible(request.membership).annotate(
        last_author=Subquery(newest.values("author")[:1])
    )
    if "all" not in request.GET:
        shown = shown.filter(closed_at=None)
    shown = shown.select_related("labeler", "task__prompt").order_by("-last_at", "-pk")
    page = Paginator(shown, PER_PAGE).get_page(request.GET.get("page"))
    for thread in page.object_list:
        thread.by = _by(request, thread)
        thread.says = _state(request, thread)
    context = {
        "page": page,
        "all": "all" in request.GET,
        "query": "all=1&" if "all" in request.GET else "",
        "to_read": threads.to_read(request.membership),
    }
    return render(request, "labeling/judging/threads.html", context)


def _by(request: HttpRequest, thread: Thread) -> str:
    if thread.labeler_id == request.user.pk:
        return _("you")
    return pseudonyms.of(request.project, thread.labeler.uuid)


def _state(request: HttpRequest, thread: Thread) -> str:
    if thread.closed_at:
        return _("closed")
    if thread.last_author == thread.labeler_id:
        return _("waits for an answer")
    is_new = thread.labeler_id == request.user.pk and (
        thread.read_at is None or thread.read_at < thread.last_at
    )
    return _("new answer") if is_new else _("answered")


@member(*RANKERS)
@never_cache
def thread_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One thread, with the task that it is about; a message sent here is added to it."""
    thread = get_object_or_404(
        threads.visible(request.membership).select_related("labeler", "task__prompt"), pk=pk
    )
    wrong = ""
    if request.method == "POST":
        wrong = _send(request, lambda text: threads.say(request.user, thread, text))
        if not wrong:
            messages.success(request, _("Your message is sent."))
            return redirect("thread", request.project.slug, pk)
    if thread.labeler_id != request.user.pk:
        seen.note(request.user, [thread.task_id])
    threads.mark_read(request.membership, thread)
    place = Assignment.objects.select_related("task__prompt").get(
        task=thread.task_id, labeler=thread.labeler_id
    )
    context = _said(request, thread, wrong) | {
        "turns": task_card.turns(place),
        "answers": task_card.answers(place, {}),
        "by": _by(request, thread),
        "place": place if place.labeler_id == request.user.pk else None,
    }
    return render(request, "labeling/judging/thread.html", context, status=422 if wrong else 200)


def _send(request: HttpRequest, action: Callable[[str], Any]) -> str:
    """Do with the text what `action` does, once however often the form arrives; what is wrong with
    it, if anything is.
    """

    def send() -> dict[str, Any]:
        action(request.POST.get("text", ""))
        return {}

    try:
        idempotency.once(request.user, form.key(request.POST), send)
    except Refused as why:
        return str(why)
    return ""


def _said(request: HttpRequest, thread: Thread | None, wrong: str) -> dict[str, Any]:
    """What a thread's form shows: its messages, each as one's own, the labeler's or a lead's."""
    messages_of = thread.messages.order_by("pk") if thread else ()
    said = []
    for message in messages_of:
        if message.author_id == request.user.pk:
            who = _("You")
        else:
            who = _("Labeler") if message.author_id == thread.labeler_id else _("Lead")
        said.append((who, message.at, message.text))
    return {
        "key": uuid.uuid4(),
        "thread": thread,
        "said": said,
        "wrong": wrong,
        "typed": request.POST.get("text", "") if wrong else "",
        "longest": Message.LONGEST,
    }


@member(*RANKERS)
@require_POST
def thread_close(request: HttpRequest, pk: int) -> HttpResponse:
    """Nothing is left to answer; a further message opens it again."""
    threads.close(request.user, get_object_or_404(threads.visible(request.membership), pk=pk))
    messages.success(request, _("The question is closed. A further message opens it again."))
    return redirect("threads", request.project.slug)


@member(*RANKERS)
@never_cache
@vary_on_headers("HX-Request")
def rank_thread(request: HttpRequest, assignment_id: int) -> HttpResponse:
    """The thread about the task at hand, over the ranking page: what was said, and a message
    more.
    """
    assignment = own_or_404(request, assignment_id)
    wrong = ""
    if request.method == "POST":
        wrong = _send(request, lambda text: threads.open_on(assignment, text))
    thread = Thread.objects.filter(task=assignment.task_id, labeler=request.user).first()
    if thread:
        threads.mark_read(request.membership, thread)
    context = _said(request, thread, wrong) | {"assignment": assignment}
    context["sent"] = request.method == "POST" and not wrong
    template = "labeling/judging/_ask.html" if request.htmx else "labeling/judging/ask.html"
    return render(request, template, context, status=422 if wrong and not request.htmx else 200)
