"""The card of one ranking task, and the page around it, as its labeler may see them.

What a labeler must not know (who wrote an answer, its id, its scores) never enters a context here.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from labeling.judging import (
    criteria,
    form,
    judgment,
    progress,
    rankings,
    scores,
    shortcuts,
    skips,
    threads,
)
from labeling.models import Assignment, Ranking
from labeling.models.rules import FLAGS
from labeling.text import conversations, markdown
from people.models import Project

ORDINALS = [
    gettext_lazy(text) for text in ("1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th")
]
STRENGTHS = {
    3: gettext_lazy("A is much better"),
    2: gettext_lazy("A is better"),
    1: gettext_lazy("A is slightly better"),
    0: gettext_lazy("Equally good"),
    -1: gettext_lazy("B is slightly better"),
    -2: gettext_lazy("B is better"),
    -3: gettext_lazy("B is much better"),
}
STEPS = {  # the same beside the letters A and B, where there is room for one word
    3: gettext_lazy("much"),
    2: gettext_lazy("better"),
    1: gettext_lazy("slightly"),
    0: gettext_lazy("equal"),
}


@dataclass(frozen=True)
class Shown:
    """An answer as the labeler sees it: a letter, the text set and as written ("": the same), and
    what was said of it.
    """

    letter: str
    html: SafeString
    source: str
    rank: int | None
    rating: int | None
    flags: list[str]
    error: str = ""
    scores: tuple[tuple[str, Any], ...] = ()  # (name of the criterion, value)
    error_at: str = ""  # the criterion that the error concerns, if one
    unformatted: bool = False  # because an answer of the task can't be formatted


def card(
    request: HttpRequest,
    assignment: Assignment,
    typed: dict[str, Any],
    wrong: judgment.InvalidRanking | None = None,
    unskipped: str = "",
    status: int = 200,
    ahead: bool = False,
    **extra,
) -> HttpResponse:
    """The task with what was typed so far; `wrong` is shown at the answer that it concerns.

    A card fetched ahead brings nothing of what the submit before it changes: its answer will.
    """
    context = {
        "assignment_id": assignment.pk,
        "unskipped": unskipped,
        "ahead": ahead,
    } | form_context(request.project, assignment, typed, wrong)
    if ahead:
        return render(request, "labeling/judging/_task.html", around(request) | context)
    context["undo"] = undoable(request)
    return page(request, "labeling/judging/_task.html", context | extra, status)


class Undoable(NamedTuple):
    """The person's last action here that can be undone: a `ranking` or a `skip`, by its key."""

    kind: str
    pk: int


def undoable(request: HttpRequest) -> Undoable | None:
    """What this person did last, while they can undo it."""
    if request.membership.paused or request.project.state == Project.State.ARCHIVED:
        return None
    ranking = rankings.last_of(request.project, request.user)
    skip = skips.last_of(request.project, request.user)
    if skip and (ranking is None or ranking.created_at < skip[1]):
        return Undoable("skip", skip[0])
    return Undoable("ranking", ranking.pk) if ranking else None


def form_context(
    project: Project,
    sheet: Assignment,
    typed: dict[str, Any],
    wrong: judgment.InvalidRanking | None = None,
) -> dict[str, Any]:
    """What the ranking form shows: the prompt, the answers, and what can be said of them."""
    asked = criteria.asked(project)
    context = {
        "key": uuid.uuid4(),
        "turns": turns(sheet),
        "answers": answers(sheet, typed, wrong, marks=bool(project.rules.span_labels)),
        "typed": typed,
        "of_ranking": _of_ranking(asked, typed, wrong),
        "spans": json.dumps(typed["spans"]) if typed.get("spans") else "",
        "error": "" if wrong is None or wrong.letter or wrong.criterion else str(wrong),
    }
    return vocabulary(project, len(sheet.order), asked) | context


def vocabulary(project: Project, k: int, asked: tuple[criteria.Asked, ...]) -> dict[str, Any]:
    """What can be said of this task, by the project's rules and criteria."""
    strengths = [
        (value, name, STEPS[abs(value)])
        for value, name in STRENGTHS.items()
        if value or project.rules.ties
    ]
    return {
        "ordinals": list(enumerate(map(str, ORDINALS[:k]), 1)),
        "strengths": strengths if judgment.by_strength(project, k) else None,
        "labels": judgment.LABELS.items(),
        "span_labels": project.rules.span_labels,
        "most_spans": scores.MOST_SPANS,
        "flags": [(flag, str(FLAGS.get(flag, flag))) for flag in project.rules.flags],
        "ratings": form.RATINGS,
        "criteria": tuple(criterion for criterion in asked if criterion.of_answers),
        "of_ranking": _of_ranking(asked, {}),
        "outcomes": Ranking.Outcome.choices,
        "skip_reasons": form.SKIP_REASONS.items(),
    }


def _of_ranking(
    asked: tuple[criteria.Asked, ...],
    typed: dict[str, Any],
    wrong: judgment.InvalidRanking | None = None,
) -> list[tuple[str, criteria.Asked, str, str]]:
    """(field of the form, criterion, what it holds, what is wrong with it) of what is asked of the
    ranking as a whole.
    """
    given = typed.get("scores", {})
    at = wrong.criterion if wrong is not None else ""
    return [
        (
            form.field_of(criterion),
            criterion,
            criterion.written(given.get(criterion.name)),
            str(wrong) if criterion.name == at else "",
        )
        for criterion in asked
        if not criterion.of_answers
    ]


def turns(assignment: Assignment) -> list[conversations.Turn]:
    return conversations.shown(assignment.messages)


def answers(
    assignment: Assignment,
    typed: dict,
    wrong: judgment.InvalidRanking | None = None,
    marks: bool = False,
) -> list[Shown]:
    texts = [assignment.texts[candidate] for candidate in assignment.order]
    return shown(texts, typed, wrong, marks)


def shown(
    texts: list[str],
    typed: dict,
    wrong: judgment.InvalidRanking | None,
    marks: bool = False,
) -> list[Shown]:
    """The answers in the order of their letters; formatted, if all of them can be. With `marks`
    always as written too: passages are marked there.
    """
    htmls, are_formatted = markdown.render_alike(texts)
    return [
        _shown(letter, text, html, not are_formatted, typed, wrong, marks)
        for letter, text, html in zip(judgment.LETTERS, texts, htmls)
    ]


def _shown(
    letter: str,
    text: str,
    html: SafeString,
    unformatted: bool,
    typed: dict,
    wrong: judgment.InvalidRanking | None,
    marks: bool,
) -> Shown:
    return Shown(
        letter,
        html,
        "" if html == markdown.plain(text) and not marks else text,
        typed.get("rank", {}).get(letter),
        typed.get("rating", {}).get(letter),
        typed.get("flags", {}).get(letter, []),
        str(wrong) if wrong is not None and wrong.letter == letter else "",
        tuple(
            (name, values[letter])
            for name, values in typed.get("scores", {}).items()
            if isinstance(values, dict) and letter in values
        ),
        wrong.criterion if wrong is not None and wrong.letter == letter else "",
        unformatted,
    )


def page(
    request: HttpRequest, fragment: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """The fragment alone when htmx asks, else the whole page around it."""
    context |= around(request) | meters(request) | {"fragment": fragment}
    return render(
        request, fragment if request.htmx else "labeling/judging/rank.html", context, status=status
    )


def after(request: HttpRequest, ranking: int | None) -> HttpResponse:
    """What a submit changes around the card that the browser has already; `ranking` can be
    undone.
    """
    caps = {"undo": shortcuts.shown(shortcuts.of(request.user)["undo"])}
    context = {
        "project": request.project,
        "keys": caps,
        "undo": Undoable("ranking", ranking) if ranking else None,
    }
    return render(request, "labeling/judging/_after.html", context | meters(request))


def meters(request: HttpRequest) -> dict[str, Any]:
    """How much was ranked, and how many questions wait for this person."""
    return progress.today(request.user, request.project) | {
        "progress": progress.progress(request.project),
        "to_read": threads.to_read_lately(request.membership),
    }


def around(request: HttpRequest) -> dict[str, Any]:
    """This person's keys, for the caps in the page, the help, and the script; and how they like
    their desk.
    """
    own = shortcuts.of(request.user)
    return {
        "project": request.project,
        "keys": {verb: shortcuts.shown(key) for verb, key in own.items()},
        "deeds": [
            (shortcuts.shown(own[name]), shortcut.says)
            for name, shortcut in shortcuts.SHORTCUTS.items()
        ],
        "verbs": json.dumps({key: verb for verb, key in own.items()}),
        "desk": request.user.desk,
    }
