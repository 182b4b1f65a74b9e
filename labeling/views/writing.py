"""Where people write: the next text that is wanted, and the review of what was handed in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from labeling.judging.form import seconds_of
from labeling.models import Prompt, Writing
from labeling.queue.eligibility import NotWorking
from labeling.text import conversations, markdown
from labeling.writing import drafts, requests
from labeling.writing.review import accept, reject, return_
from people import idempotency
from people.access import ADMINS, LEADS, RANKERS, Refused, member
from people.forms import IdempotentForm

PER_PAGE = 50


class DemonstrationsForm(IdempotentForm):
    """Ideal answers to prompts that have none."""

    split = forms.ChoiceField(
        label=gettext_lazy("Split"), choices=Prompt.Split, initial=Prompt.Split.TRAIN
    )
    count = forms.IntegerField(
        label=gettext_lazy("How many"), min_value=1, max_value=requests.AT_ONCE, initial=50
    )
    from_best = forms.BooleanField(
        label=gettext_lazy("Start from the answer ranked best"),
        required=False,
        help_text=gettext_lazy(
            "If people have ranked answers, the writer starts from the best one."
        ),
    )


class PromptsForm(IdempotentForm):
    """Prompts in the labelers' own words."""

    brief = forms.CharField(
        label=gettext_lazy("What about"),
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy(
            "Instructions for the writers: a subject, a kind of task, a length."
        ),
    )
    count = forms.IntegerField(
        label=gettext_lazy("How many"), min_value=1, max_value=requests.AT_ONCE, initial=20
    )


# For who writes


@member(*RANKERS)
@require_GET
@never_cache
def write(request: HttpRequest) -> HttpResponse:
    """The text at hand, or the next one that is wanted."""
    try:
        writing = drafts.next_for(request.membership)
    except NotWorking:
        return render(request, "labeling/writing/write_none.html", {"paused": True})
    if writing is None:
        return render(request, "labeling/writing/write_none.html")
    return _writing_page(request, writing, writing.text)


@member(*RANKERS)
@require_POST
def write_save(request: HttpRequest, pk: int) -> JsonResponse:
    """Keep what is written so far."""
    writing = own_or_404(request, pk)
    if "renew" in request.POST:
        drafts.renew(writing)
        return JsonResponse({"renewed": True})
    kept = drafts.save(
        writing, request.POST.get("text", ""), seconds_of(request.POST.get("seconds"))
    )
    return JsonResponse(
        {"saved": now().isoformat()} if kept else {"error": "submitted"},
        status=200 if kept else 409,
    )


@member(*RANKERS)
@require_POST
def write_submit(request: HttpRequest, pk: int) -> HttpResponse:
    writing, text = own_or_404(request, pk), request.POST.get("text", "")
    try:
        drafts.submit(writing, text, seconds_of(request.POST.get("seconds")))
    except Refused as wrong:
        drafts.save(writing, text)
        return _writing_page(request, writing, text, error=str(wrong), status=422)
    except drafts.Gone:
        messages.warning(
            request,
            _("This text was already submitted, or someone else is writing it; your text is kept."),
        )
    else:
        messages.success(request, _("Submitted. Thank you."))
    return redirect("write", request.project.slug)


@member(*RANKERS)
@require_POST
def write_back(request: HttpRequest, pk: int) -> HttpResponse:
    writing = own_or_404(request, pk)
    drafts.save(writing, request.POST.get("text", writing.text))
    drafts.give_back(writing)
    messages.info(request, _("Someone else may write it now; your text so far is kept."))
    return redirect("project", request.project.slug)


def own_or_404(request: HttpRequest, pk: int) -> Writing:
    own = Writing.objects.filter(labeler=request.user, project=request.project)
    return get_object_or_404(own.select_related("project", "labeler"), pk=pk)


def _writing_page(
    request: HttpRequest, writing: Writing, text: str, error: str = "", status: int = 200
) -> HttpResponse:
    context = {
        "writing": writing,
        "text": text,
        "error": error,
        "turns": turns(writing),
        "longest": drafts.LONGEST,
    }
    return render(request, "labeling/writing/write.html", context, status=status)


def turns(writing: Writing) -> list[tuple[str, str, str]]:
    return conversations.shown(writing.prompt.messages) if writing.prompt else []


# For who reviews


@member(*LEADS)
@require_GET
def reviews(request: HttpRequest) -> HttpResponse:
    """What waits for review, and how much is wanted, being written and done."""
    page = Paginator(waiting(request), PER_PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "labeling/writing/reviews.html",
        {"page": page, "counts": table(requests.counts(request.project))},
    )


def waiting(request: HttpRequest) -> QuerySet[Writing]:
    handed_in = Writing.objects.filter(project=request.project, state=Writing.State.SUBMITTED)
    return handed_in.select_related("prompt", "labeler").order_by("submitted_at")


def table(counts: dict[str, dict[str, int]]) -> list[dict[str, Any]]:
    """One row a kind: how many are in each state."""
    return [
        {"name": label, "counts": list(counts[kind].values())}
        for kind, label in Writing.Kind.choices
    ]


@member(*LEADS)
def review(request: HttpRequest, pk: int) -> HttpResponse:
    """One text under review: accept it (as it is or mended), send it back, or reject it."""
    writing = get_object_or_404(
        Writing.objects.select_related("prompt", "labeler", "project"),
        pk=pk,
        project=request.project,
    )
    text, comment, errors = writing.text, "", {}
    if request.method == "POST":
        text, comment = request.POST.get("text", ""), request.POST.get("comment", "")
        try:
            settle(request, writing, text, comment)
            return redirect("reviews", request.project.slug)
        except Refused as wrong:
            errors = {wrong.field or "all": str(wrong)}
    context = {
        "writing": writing,
        "text": text,
        "comment": comment,
        "errors": errors,
        "turns": turns(writing),
    }
    context |= {
        "html": markdown.render(writing.text),
        "open": writing.state == Writing.State.SUBMITTED,
    }
    return render(request, "labeling/writing/review.html", context, status=422 if errors else 200)


def settle(request: HttpRequest, writing: Writing, text: str, comment: str) -> None:
    decisions = {
        "accept": (lambda: accept(request.user, writing, text), _("The text is accepted.")),
        "return": (
            lambda: return_(request.user, writing, comment),
            _("The text is sent back to its writer."),
        ),
        "reject": (lambda: reject(request.user, writing, comment), _("The text is rejected.")),
    }
    if request.POST.get("deed") not in decisions:
        raise Refused(_("Choose a decision for this text."))
    carry_out, message = decisions[request.POST["deed"]]
    try:
        carry_out()
    except drafts.Gone:
        messages.info(request, _("Someone else has already reviewed this text."))
    else:
        messages.success(request, message)


# For who asks


@member(*ADMINS)
def ask(request: HttpRequest, kind: str) -> HttpResponse:
    """Wish for more demonstrations, or more prompts."""
    form = {"demonstration": DemonstrationsForm, "prompt": PromptsForm}[kind](request.POST or None)
    if request.method == "POST" and form.is_valid():
        verb = requests.ask_demonstrations if kind == "demonstration" else requests.ask_prompts
        key, values = form.cleaned_data["key"], form.values()
        result, _new = idempotency.once(
            request.user, key, lambda: {"count": verb(request.user, request.project, **values)}
        )
        requested_message(request, result["count"])
        return redirect("reviews", request.project.slug)
    return render(
        request,
        "labeling/writing/ask.html",
        {"form": form, "kind": kind},
        status=422 if form.errors else 200,
    )


def requested_message(request: HttpRequest, count: int) -> None:
    if count:
        asked = ngettext("%(n)s text is requested.", "%(n)s texts are requested.", count) % {
            "n": count
        }
        messages.success(request, asked)
    else:
        messages.warning(
            request, _("Every prompt of this split has a demonstration, or one is being written.")
        )


@member(*ADMINS)
@require_POST
def withdraw(request: HttpRequest) -> HttpResponse:
    count = requests.withdraw(request.user, request.project)
    taken = ngettext("%(n)s request is withdrawn.", "%(n)s requests are withdrawn.", count) % {
        "n": count
    }
    messages.info(request, taken + " " + _("Texts that are being written are not affected."))
    return redirect("reviews", request.project.slug)
