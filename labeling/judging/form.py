"""The ranking form: what was typed, kept as a draft and shown again, and the judgment that it
means.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from django.core.exceptions import BadRequest
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from labeling.judging import criteria
from labeling.judging import scores as stored_scores
from labeling.judging.criteria import RATINGS, Asked
from labeling.judging.judgment import LABELS, LETTERS, Judgment, Verdict
from labeling.models import Assignment, Ranking
from labeling.text.conversations import clean
from people import json_depth

STRENGTHS = {str(value): value for value in range(3, -4, -1)}  # 3: the first answer is much better
LONGEST_NOTE = 10_000
SKIP_REASONS = {
    "language": _("I don't read this language well"),
    "knowledge": _("I don't know enough to judge this"),
    "unwelcome": _("I would rather not read this"),
    "broken": _("The prompt or an answer is broken"),
    "other": _("Something else"),
}


def typed(data: QueryDict, assignment: Assignment) -> dict[str, Any]:
    """What the form says so far, complete or not, as a draft keeps it; what is unknown or switched
    off is left out.
    """
    rules, k = assignment.project.rules, len(assignment.order)
    letters, outcome = LETTERS[:k], data.get("outcome")
    marks = RATINGS if rules.rating else ()
    return {
        "rank": {
            letter: rank
            for letter in letters
            if (rank := _number(data.get(f"rank-{letter}"), range(1, k + 1)))
        },
        "rating": {
            letter: mark
            for letter in letters
            if (mark := _number(data.get(f"rating-{letter}"), marks))
        },
        "flags": {
            letter: flags
            for letter in letters
            if (flags := _known(data.getlist(f"flags-{letter}"), rules.flags))
        },
        "labels": _known(data.getlist("labels"), LABELS),
        "note": clean(data.get("note", ""))[:LONGEST_NOTE] if rules.notes else "",
        "outcome": outcome if outcome in Ranking.Outcome else Ranking.Outcome.RANKED.value,
        "order": "".join(letter for letter in data.get("order", "")[:k] if letter in letters),
        "strength": STRENGTHS.get(data.get("strength", "")),
        "seconds": seconds_of(data.get("seconds")),
        "scores": dict(_scores(data, criteria.accepted(assignment.project), letters)),
        "spans": _spans(data.get("spans", ""), letters),
    }


def field_of(criterion: Asked, letter: str = "") -> str:
    """The name of the form's field; `letter` of the answer, where the criterion is of answers."""
    return f"score-{criterion.pk}-{letter}" if criterion.of_answers else f"score-{criterion.pk}"


def _scores(data: QueryDict, asked: Iterable[Asked], letters: str) -> Iterator[tuple[str, Any]]:
    """Yield (criterion's name, value, or values by letter) of what was filled in."""
    for criterion in asked:
        given = {
            letter: value
            for letter in (letters if criterion.of_answers else [""])
            if (value := criterion.read(data.get(field_of(criterion, letter), ""))) is not None
        }
        if given:
            yield criterion.name, given if criterion.of_answers else given[""]


def _spans(text: str, letters: str) -> list[dict[str, Any]]:
    """The marked passages, as static/js/spans.js writes them. Without it a revision keeps them."""
    try:
        spans = json_depth.read(text or "[]")
    except json_depth.TooDeep:
        raise BadRequest(_("The spans of this form nest too deeply.")) from None
    except ValueError:
        return []
    spans = spans if isinstance(spans, list) else []
    if len(spans) > stored_scores.MOST_SPANS:  # the page lets nobody mark so many
        raise BadRequest(stored_scores.too_many(len(spans)))
    return [
        span
        for span in spans
        if stored_scores.storable_span(span) and span["answer"] in tuple(letters)
    ]


def judgment(typed: dict[str, Any]) -> Judgment:
    """What was typed, as a judgment; whether it is complete is for `check` to say."""
    letters = {letter for field in ("rank", "rating", "flags") for letter in typed[field]}
    verdicts = {
        letter: Verdict(
            typed["rank"].get(letter), typed["rating"].get(letter), typed["flags"].get(letter, [])
        )
        for letter in sorted(letters)
    }
    known = {name: typed[name] for name in ("outcome", "labels", "note", "seconds")}
    return Judgment(  # a draft may be older than these fields
        verdicts,
        **known,
        strength=typed.get("strength"),
        scores=typed.get("scores", {}),
        spans=typed.get("spans", []),
    )


def typed_of(ranking: Ranking, order: Sequence[int] = ()) -> dict[str, Any]:
    """A stored ranking, as the form that said it, or as one with its answers in another `order`."""
    answers = {LETTERS[answer.shown]: answer for answer in ranking.ranked.order_by("shown")}
    stored = stored_scores.stored(ranking)
    letter_of = {answer.candidate_id: letter for letter, answer in answers.items()}
    typed = {
        "rank": sport({letter: answer.rank for letter, answer in answers.items() if answer.rank}),
        "rating": in_order(stored.ratings, letter_of),
        "flags": in_order(stored.flags, letter_of),
        "labels": ranking.labels,
        "note": ranking.note,
        "outcome": ranking.outcome,
        "order": "".join(sorted(answers, key=lambda letter: (answers[letter].rank or 0, letter))),
        "strength": ranking.strength,
        "seconds": 0,
        **stored_scores.by_letter(stored, letter_of),
    }
    return relettered(typed, list(letter_of), order or list(letter_of))


def relettered(
    typed: dict[str, Any], before: Sequence[int], after: Sequence[int]
) -> dict[str, Any]:
    """What was typed with the answers (keys of candidates) in the order `before`, as it is typed
    with them in the order `after`.
    """
    new = {LETTERS[place]: LETTERS[after.index(answer)] for place, answer in enumerate(before)}

    def moved(values: dict[str, Any]) -> dict[str, Any]:
        return {new[letter]: value for letter, value in values.items()}

    strength = typed.get("strength")  # of the first of two answers over the second
    scores = typed.get("scores", {})
    return typed | {
        "rank": moved(typed["rank"]),
        "rating": moved(typed["rating"]),
        "flags": moved(typed["flags"]),
        "order": "".join(new[letter] for letter in typed["order"]),
        "strength": -strength if strength and before[0] != after[0] else strength,
        "scores": {
            name: moved(value) if isinstance(value, dict) else value
            for name, value in scores.items()
        },
        "spans": [span | {"answer": new[span["answer"]]} for span in typed.get("spans", ())],
    }


def in_order(values: dict[int, Any], letter_of: dict[int, str]) -> dict[str, Any]:
    """Values of candidates by their letters, in the order of `letter_of`."""
    return {letter: values[pk] for pk, letter in letter_of.items() if pk in values}


def sport(ranks: dict[Any, int]) -> dict[Any, int]:
    """Dense ranks (1, 2, 2, 3) as they are shown: 1, 2, 2, 4."""
    return {
        answer: 1 + sum(other < rank for other in ranks.values()) for answer, rank in ranks.items()
    }


def key(data: QueryDict) -> uuid.UUID:
    """The form's own key; one without is a form of its own each time."""
    try:
        return uuid.UUID(data.get("key", ""))
    except ValueError:
        return uuid.uuid4()


def skip_reason(data: QueryDict) -> str:
    """The reason chosen, and what was written beside it; empty when neither was given."""
    chosen = data.get("reason") if data.get("reason") in SKIP_REASONS else ""
    detail = clean(data.get("detail", ""))
    return f"{chosen or 'other'}: {detail}" if detail else chosen


def _number(value: str | None, allowed: Collection[int]) -> int | None:
    number = (
        int(value) if value and value.isascii() and value.isdigit() and len(value) < 3 else None
    )
    return number if number in allowed else None


def _known(values: list[str], vocabulary: Iterable[str]) -> list[str]:
    return [value for value in vocabulary if value in values]


def seconds_of(value: str | None) -> float:
    try:
        seconds = float(value or 0)
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
