"""The ranking form: what was typed, kept as a draft and shown again, and the judgment that it means."""

from __future__ import annotations

import math
import uuid
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from labeling.models import Ranking
from labeling.prompts import clean
from labeling.ranking import FLAGS, LABELS, LETTERS, Judgment, Verdict

RATINGS = range(1, 8)
LONGEST_NOTE = 10_000
SKIP_REASONS = {
    "language": _("I don't read this language well"),
    "knowledge": _("I don't know enough to judge this"),
    "unwelcome": _("I would rather not read this"),
    "broken": _("The prompt or an answer is broken"),
    "other": _("Something else"),
}


def typed(data: QueryDict, k: int) -> dict[str, Any]:
    """What the form says so far, complete or not, as a draft keeps it; what is unknown is left out."""
    letters = LETTERS[:k]
    outcome = data.get("outcome")
    return {
        "rank": {letter: rank for letter in letters if (rank := _number(data.get(f"rank-{letter}"), range(1, k + 1)))},
        "rating": {letter: mark for letter in letters if (mark := _number(data.get(f"rating-{letter}"), RATINGS))},
        "flags": {letter: flags for letter in letters if (flags := _known(data.getlist(f"flags-{letter}"), FLAGS))},
        "labels": _known(data.getlist("labels"), LABELS),
        "note": clean(data.get("note", ""))[:LONGEST_NOTE],
        "outcome": outcome if outcome in Ranking.Outcome else Ranking.Outcome.RANKED.value,
        "order": "".join(letter for letter in data.get("order", "")[:k] if letter in letters),
        "seconds": _seconds(data.get("seconds")),
    }


def judgment(typed: dict[str, Any]) -> Judgment:
    """What was typed, as a judgment; whether it is complete is for `ranking.check` to say."""
    letters = {letter for field in ("rank", "rating", "flags") for letter in typed[field]}
    verdicts = {
        letter: Verdict(typed["rank"].get(letter), typed["rating"].get(letter), typed["flags"].get(letter, []))
        for letter in sorted(letters)
    }
    return Judgment(verdicts, typed["outcome"], typed["labels"], typed["note"], typed["seconds"])


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


def _number(value: str | None, allowed: range) -> int | None:
    number = int(value) if value and value.isascii() and value.isdigit() and len(value) < 3 else None
    return number if number in allowed else None


def _known(values: list[str], vocabulary: dict) -> list[str]:
    return [value for value in vocabulary if value in values]


def _seconds(value: str | None) -> float:
    try:
        seconds = float(value or 0)
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
