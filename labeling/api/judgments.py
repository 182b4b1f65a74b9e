"""Judgments of one task: as the API takes them, and as the page's form stores them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from labeling.judging import form, judgment
from labeling.models import Assignment, Ranking
from labeling.text.conversations import clean
from people.models import Project

MOST = judgment.MOST
LETTERS = judgment.LETTERS.upper()
EXAMPLE = {
    "order": "B=A>C>D",
    "ratings": {"A": 6, "B": 6, "C": 4, "D": 1},
    "flags": {"D": ["fails"]},
    "labels": ["ambiguous"],
    "note": "D answers another question.",
    "seconds": 74.5,
}


class ByLetter(serializers.DictField):
    """A value for each answer, by its letter."""

    def to_internal_value(self, data):
        if isinstance(data, dict) and any(letter.upper() not in tuple(LETTERS) for letter in data):
            raise serializers.ValidationError(_("Answers are named by their letters, from A."))
        values = super().to_internal_value(data)
        return {letter.upper(): value for letter, value in values.items()}


@extend_schema_serializer(examples=[OpenApiExample("a ranking with a tie", EXAMPLE)])
class JudgmentInput(serializers.Serializer):
    """A judgment of the answers, each named by the letter under which it is shown."""

    verdict = serializers.ChoiceField(
        Ranking.Outcome.choices,
        default=Ranking.Outcome.RANKED,
        help_text="Whether the answers could be ranked.",
    )
    order = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=50,
        help_text="Best first, ties by `=`: `B=A>C`. Or give `ranks`.",
    )
    ranks = ByLetter(
        child=serializers.IntegerField(min_value=1, max_value=MOST),
        required=False,
        help_text=(
            '1 is best, equal ones are a tie: `{"A": 1, "B": 1, "C": 2}`. In place of `order`.'
        ),
    )
    ratings = ByLetter(
        child=serializers.IntegerField(min_value=min(form.RATINGS), max_value=max(form.RATINGS)),
        required=False,
        help_text="Overall quality of each answer, 1 to 7, where the project asks for it.",
    )
    flags = ByLetter(
        child=serializers.ListField(child=serializers.CharField(max_length=100), max_length=30),
        required=False,
        help_text="What is said of each answer, in the project's words.",
    )
    labels = serializers.ListField(
        child=serializers.ChoiceField(list(judgment.LABELS.items())),
        max_length=len(judgment.LABELS),
        required=False,
        help_text="What is said of the prompt.",
    )
    note = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=form.LONGEST_NOTE,
        help_text="In the labeler's words.",
    )
    strength = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=-3,
        max_value=3,
        help_text=(
            "Where the project asks how much better A is than B: 3 much better, 0 equal, -3 much "
            "worse."
        ),
    )
    seconds = serializers.FloatField(
        required=False, min_value=0, max_value=10**6, help_text="Time at it, without pauses."
    )


def typed(data: dict[str, Any], sheet: Assignment) -> dict[str, Any]:
    """The judgment as the page's form stores it, complete or not.

    Raises ValidationError for fields that this task does not ask for.
    """
    letters = judgment.LETTERS[: len(sheet.order)]
    ranks = _ranks(data)
    wrong = dict(_wrong(data | {"ranks": ranks}, sheet.project, letters))
    if wrong:
        raise serializers.ValidationError(wrong)
    by_letter = _by_lower_letter(ranks)
    return {
        "rank": by_letter,
        "rating": _by_lower_letter(data.get("ratings", {})),
        "flags": _by_lower_letter(data.get("flags", {})),
        "labels": [label for label in judgment.LABELS if label in data.get("labels", ())],
        "note": clean(data.get("note", "")),
        "outcome": data.get("verdict", Ranking.Outcome.RANKED),
        "order": "".join(sorted(by_letter, key=lambda letter: (by_letter[letter], letter))),
        "strength": data.get("strength"),
        "seconds": data.get("seconds", 0.0),
    }


def _by_lower_letter(values: dict[str, Any]) -> dict[str, Any]:
    return {letter.lower(): value for letter, value in sorted(values.items())}


def _ranks(data: dict[str, Any]) -> dict[str, int]:
    if data.get("order") and data.get("ranks"):
        raise serializers.ValidationError({"order": [_("Give either the order or the ranks.")]})
    return data.get("ranks") or ranks_of(data.get("order", ""))


def ranks_of(order: str) -> dict[str, int]:
    """The ranks in an order like "B=A>C". Raises ValidationError if it cannot be read."""
    ranks: dict[str, int] = {}
    tiers = (
        [tier.split("=") for tier in order.replace(" ", "").upper().split(">")]
        if order.strip()
        else []
    )
    for rank, tier in enumerate(tiers, 1):
        for letter in tier:
            if letter not in LETTERS or not letter or letter in ranks:
                raise serializers.ValidationError(
                    {"order": [_("Name each answer once, best first: B=A>C.")]}
                )
            ranks[letter] = rank
    return form.sport(ranks)


def _wrong(data: dict[str, Any], project: Project, letters: str) -> Iterator[tuple[str, Any]]:
    """Yield (field, errors) for letters without an answer and fields that the project does not ask
    for.
    """
    for name in ("ranks", "ratings", "flags"):
        unknown_letters = [letter for letter in data.get(name, {}) if letter.lower() not in letters]
        if unknown_letters:
            yield name, {letter: [_("There is no such answer.")] for letter in unknown_letters}
    for letter, flags in data.get("flags", {}).items():
        if unknown := [flag for flag in flags if flag not in project.rules.flags]:
            yield (
                "flags",
                {letter: [_("This project has no such flag: %(flag)s.") % {"flag": unknown[0]}]},
            )
    if data.get("ratings") and not project.rules.rating:
        yield "ratings", [_("This project asks for no ratings.")]
    if data.get("note") and not project.rules.notes:
        yield "note", [_("This project asks for no notes.")]
    if data.get("strength") is not None and not judgment.by_strength(project, len(letters)):
        yield "strength", [_("This task is judged by ranks.")]


def as_body(typed: dict[str, Any]) -> dict[str, Any] | None:
    """A form or draft as the API shows it; None for an empty draft."""
    if not typed:
        return None
    ranks = {letter.upper(): rank for letter, rank in typed["rank"].items()}
    return {
        "verdict": typed["outcome"],
        "order": order_of(ranks),
        "ratings": {letter.upper(): rating for letter, rating in typed["rating"].items()},
        "flags": {letter.upper(): flags for letter, flags in typed["flags"].items()},
        "labels": typed["labels"],
        "note": typed["note"],
        "strength": typed.get("strength"),  # a draft may be older than this field
        "seconds": typed["seconds"],
    }


def order_of(ranks: dict[str, int]) -> str:
    """Ranks by letter as "B=A>C"; equal ranks in the order of their letters."""
    tiers: dict[int, list[str]] = {}
    for letter, rank in sorted(ranks.items(), key=lambda item: judgment.in_order(item[0])):
        tiers.setdefault(rank, []).append(letter)
    return ">".join("=".join(tiers[rank]) for rank in sorted(tiers))


@contextmanager
def error_at_answer() -> Iterator[None]:
    """Turn InvalidRanking into a ValidationError at the answer that it concerns."""
    try:
        yield
    except judgment.InvalidRanking as error:
        messages = [str(error)]
        raise serializers.ValidationError(
            {"ranks": {error.letter.upper(): messages} if error.letter else messages}
        ) from error
