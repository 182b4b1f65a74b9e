"""The card of a task of which nothing was said yet. Around the task's texts it is the same for this
person, task after task, and takes a template longer than the database takes for the task: it is
kept, with gaps for what is the task's own.
"""

from __future__ import annotations

import re
import secrets
import uuid
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe
from django.utils.translation import get_language

from labeling.judging import criteria
from labeling.models import Assignment
from labeling.templatetags.answers import answer_card, conversation
from labeling.views import task_card

# Nobody can know what the gaps are called, so no text that an admin chose can be taken for one.
PLACE = str(10**18 + secrets.randbelow(10**18))  # stands in addresses, where only digits may
KEY, TOKEN, TURNS, ANSWER = (secrets.token_hex(16) for _ in range(4))
GAPS = re.compile(f"({PLACE}|{KEY}|{TOKEN}|{TURNS}|{ANSWER})")


class Rules(NamedTuple):
    """What a card reads of its project's rules."""

    ties: bool
    rating: bool
    notes: bool
    strength: bool
    flags: tuple[str, ...]
    span_labels: tuple[str, ...]
    asked: tuple[criteria.Asked, ...]


class Person(NamedTuple):
    """What a card reads of its labeler; keys and desk as pairs."""

    shortcuts: bool
    keys: tuple[tuple[str, Any], ...]
    desk: tuple[tuple[str, Any], ...]


def fresh(request: HttpRequest, assignment: Assignment) -> HttpResponse:
    """The card of a place ahead, into which nothing was typed: what `card()` answers, sooner."""
    pieces, context = _frame(
        request.project.slug,
        *_facts(request),
        len(assignment.order),
        bool(request.htmx),
        get_language(),
    )
    shown = task_card.answers(assignment, typed={}, marks=bool(request.project.rules.span_labels))
    answers = (answer_card(context, answer) for answer in shown)
    own = {PLACE: str(assignment.pk), KEY: str(uuid.uuid4()), TOKEN: get_token(request)}
    own[TURNS] = conversation(task_card.turns(assignment))
    return HttpResponse(
        "".join(next(answers) if piece == ANSWER else own.get(piece, piece) for piece in pieces)
    )


def _facts(request: HttpRequest) -> tuple[Rules, Person]:
    rules, user = request.project.rules, request.user
    kept = {"flags": tuple(rules.flags), "asked": criteria.asked(request.project)}
    kept["span_labels"] = tuple(rules.span_labels)
    same = {name: getattr(rules, name) for name in Rules._fields if name not in kept}
    own = (tuple(sorted(pairs.items())) for pairs in (user.keys, user.desk))
    return Rules(**same, **kept), Person(user.shortcuts, *own)


@lru_cache(maxsize=1000)
def _frame(
    slug: str, rules: Rules, person: Person, k: int, htmx: bool, _language: str
) -> tuple[list[str], dict[str, Any]]:
    """The card in pieces, every other one a gap, and what the template was told. All that it reads
    is an argument, or it would be kept for others.
    """
    user = SimpleNamespace(
        shortcuts=person.shortcuts, keys=dict(person.keys), desk=dict(person.desk)
    )
    project = SimpleNamespace(slug=slug, rules=rules)
    context = task_card.around(SimpleNamespace(project=project, user=user))
    context |= task_card.vocabulary(project, k, rules.asked)
    context |= {"ahead": True, "typed": {}, "user": user, "request": SimpleNamespace(htmx=htmx)}
    context |= {"assignment_id": PLACE, "key": KEY, "csrf_token": TOKEN}
    context |= {"turns": mark_safe(TURNS), "answers": [mark_safe(ANSWER)] * k}
    return GAPS.split(render_to_string("labeling/judging/_task.html", context)), context
