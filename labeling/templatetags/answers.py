"""The texts of a card: `{% load answers %}{% conversation turns %}{% answer_card answer %}`, and
`{% for role, name, text in prompt.messages|turns %}` for a page of its own. What
is HTML already stays.

What stands around an answer's text is the same on card after card, and takes a template longer than
the database takes for the task: it is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from labeling.judging import form
from labeling.text import conversations, markdown

register = template.Library()
HERE = "<!-- the text -->"
TURN = '<div class="turn {}"><h2>{}</h2>{}</div>'
BEGINNING = '<p dir="auto">{}</p>'
CONTENT = '<div class="text" dir="auto">{}</div>'
CALL = '<div class="call"><h3>{}</h3><pre tabindex="0">{}</pre></div>'
SOURCE = '<pre class="source" dir="auto">{}{}</pre>'
TEXT = '<div class="text" dir="auto" tabindex="0" role="group" aria-labelledby="title-{}">{}</div>'
WRITTEN = (
    '<pre class="text written" dir="auto" tabindex="0" role="group" '
    'aria-labelledby="title-{}">{}{}</pre>'
)
RULES = ("ordinals", "ratings", "vocabulary", "criteria", "marks")
CAPS = ("compare", "flags", "spans")
EMPTY = '<p class="hint">{}</p>'
UNFORMATTED = '<p class="hint unformatted">{}</p>'


@register.filter
def turns(messages: Iterable[dict]) -> list[tuple[str, str, str]]:
    """(role, its name, text) of each turn of a prompt."""
    return [(turn.role, turn.name, turn.text) for turn in conversations.shown(messages)]


@register.filter
def rank_of(judgment: dict, position: int) -> int | None:
    """The rank of the answer at this position, in a judgment as an import reads it."""
    ranks = judgment["ranks"] or []
    places = judgment.get("answers", range(len(ranks)))
    return dict(zip(places, ranks)).get(position)


@register.simple_tag
def conversation(
    turns: Iterable[conversations.Turn] | SafeString, whole: bool = True
) -> SafeString:
    """The turns of a prompt, formatted like answers; or, of a list, as they are written."""
    if isinstance(turns, SafeString):
        return turns
    content = _whole if whole else _beginning
    return format_html_join("", TURN, ((turn.role, turn.name, content(turn)) for turn in turns))


def _beginning(turn: conversations.Turn) -> SafeString:
    return format_html(BEGINNING, turn.text)


def _whole(turn: conversations.Turn) -> SafeString:
    """What a turn says and calls, and its source where that is something else."""
    as_written = markdown.plain(turn.content)
    html = as_written if turn.role == "tool" else markdown.render(turn.content)
    calls = ((_("Calls %(name)s") % {"name": call.name}, call.arguments) for call in turn.calls)
    shown = format_html(CONTENT, html) if turn.content else SafeString("")
    shown += format_html_join("", CALL, calls)
    if html == as_written and not turn.calls:
        return shown
    return shown + format_html(SOURCE, markdown.leading_break(turn.text), turn.text)


@register.simple_tag(takes_context=True)
def answer_card(context: template.Context, answer: Any) -> SafeString:
    """One answer, with all that can be said of it."""
    if isinstance(answer, SafeString):
        return answer
    shown = answer.letter, answer.rank, answer.rating, tuple(answer.flags), answer.error
    shown += (answer.scores, answer.error_at)
    asked = None if context["strengths"] else tuple(context["ordinals"])
    ratings = context["project"].rules.rating and tuple(context["ratings"])
    rules = asked, ratings, tuple(context["flags"]), context["criteria"]
    rules += (bool(context["span_labels"]),)
    caps = tuple(context["keys"][name] for name in CAPS)
    before, after = _around(shown, rules, len(context["answers"]), caps, get_language())
    return mark_safe(before + _text(answer) + after)


def _text(answer: Any) -> SafeString:
    set_ = format_html(
        TEXT, answer.letter, answer.html or format_html(EMPTY, _("This answer is empty."))
    )
    if answer.unformatted:
        set_ = format_html(UNFORMATTED, unformatted()) + set_
    if not answer.source:
        return set_
    return set_ + format_html(
        WRITTEN, answer.letter, markdown.leading_break(answer.source), _exactly(answer.source)
    )


def _exactly(text: str) -> SafeString:
    """Its code points as browsers read them: a bare carriage return would become a line feed, and
    the places of marked passages would be wrong.
    """
    return mark_safe(escape(text).replace("\r", "&#13;"))


@register.simple_tag
def unformatted() -> str:
    """Why the answers of a task are shown as they are written."""
    return _(
        "Shown without formatting, like every answer of this task: one of them is too long or too "
        "deeply nested to be formatted."
    )


@lru_cache(maxsize=2000)
def _around(shown: tuple, rules: tuple, k: int, caps: tuple, _language: str) -> tuple[str, str]:
    """The HTML before the text and after it. What the template reads is an argument, or it would be
    kept for others.
    """
    names = ("letter", "rank", "rating", "flags", "error", "scores", "error_at")
    context = dict(zip(names, shown, strict=True))
    context |= dict(zip(RULES, rules, strict=True))
    values = dict(context["scores"])
    context["asked"] = [
        (
            form.field_of(criterion, context["letter"]),
            criterion,
            criterion.written(values.get(criterion.name)),
            context["error"] if criterion.name == context["error_at"] else "",
        )
        for criterion in context["criteria"]
    ]
    context |= dict(zip((f"{name}_key" for name in CAPS), caps, strict=True)) | {
        "k": k,
        "text": mark_safe(HERE),
    }
    before, _here, after = render_to_string("labeling/judging/_answer.html", context).partition(
        HERE
    )
    return before, after
