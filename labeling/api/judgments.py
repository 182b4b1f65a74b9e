"""Judgments of one task: as the API takes them, and as the page's form stores them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from labeling.judging import criteria, form, judgment
from labeling.judging.scores import MOST_SPANS, span_faults
from labeling.models import Assignment, Ranking
from labeling.models.criteria import LONGEST_SPAN_LABEL
from labeling.text.conversations import clean
from people.api.filters import MOST_ID
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

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, dict) and any(letter.upper() not in tuple(LETTERS) for letter in data):
            raise serializers.ValidationError(_("Answers are named by their letters, from A."))
        values = super().to_internal_value(data)
        return {letter.upper(): value for letter, value in values.items()}


class Scores(serializers.DictField):
    """Values by the name of the criterion: a value, or one for each answer by its letter."""

    def __init__(self, **options):
        super().__init__(
            child=serializers.JSONField(),
            help_text=(
                "By the name of the criterion, as `asks` has it: a value, or of a criterion about "
                'answers `{"A": 4, "B": 2}`. A whole number, true or false, or a text, by its kind.'
            ),
            **options,
        )


class SpanBody(serializers.Serializer):
    """A part of an answer's text, in Unicode code points."""

    answer = serializers.CharField(max_length=1, help_text="The letter of the answer.")
    label = serializers.CharField(max_length=LONGEST_SPAN_LABEL, help_text="What it is.")
    start = serializers.IntegerField(
        min_value=0, max_value=MOST_ID, help_text="Its first code point, from 0."
    )
    end = serializers.IntegerField(
        min_value=1, max_value=MOST_ID, help_text="The first code point after it."
    )


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
    scores = Scores(required=False)
    spans = SpanBody(
        many=True,
        required=False,
        max_length=MOST_SPANS,
        help_text="Parts of the answers that are marked.",
    )


def typed(data: dict[str, Any], sheet: Assignment) -> dict[str, Any]:
    """The judgment as the page's form stores it, complete or not.

    Raises ValidationError for fields that this task does not ask for.
    """
    letters = judgment.LETTERS[: len(sheet.order)]
    ranks = _ranks(data)
    wrong = dict(_wrong(data | {"ranks": ranks}, sheet.project, letters))
    scores, wrong_scores = _scores(data.get("scores", {}), sheet)
    spans = [
        span | {"answer": span["answer"].lower(), "label": clean(span["label"])}
        for span in data.get("spans", ())
    ]
    wrong |= wrong_scores | _wrong_spans(spans, sheet)
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
        "scores": scores,
        "spans": spans,
    }


def _scores(given: dict[str, Any], sheet: Assignment) -> tuple[dict[str, Any], dict[str, Any]]:
    """The scores as the form keeps them, and what is wrong with them by field."""
    known = {criterion.name: criterion for criterion in criteria.accepted(sheet.project)}
    scores = {name: _as_typed(value) for name, value in given.items()}
    errors: dict[str, Any] = {}
    for name, letter, message in judgment.score_faults(scores, len(sheet.order), known):
        if letter:
            errors.setdefault(name, {})[letter.upper()] = [message]
        else:
            errors[name] = [message]
    return scores, {"scores": errors} if errors else {}


def _as_typed(value: Any) -> Any:
    """Letters in lower case, and texts clean, as the form keeps them."""
    if isinstance(value, dict):
        return {letter.lower(): _as_typed(inner) for letter, inner in sorted(value.items())}
    return clean(value) if isinstance(value, str) else value


def _wrong_spans(spans: list[dict[str, Any]], sheet: Assignment) -> dict[str, Any]:
    errors: dict[str, Any] = {}
    if spans:
        for number, name, message in span_faults(spans, sheet):
            errors[str(number)] = {name: [message]}
    return {"spans": errors} if errors else {}


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
        **_in_capitals(typed.get("scores", {}), typed.get("spans", ())),
    }


def _in_capitals(scores: dict[str, Any], spans: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Scores and spans of a form or draft, with the letters as they are shown."""
    return {
        "scores": {
            name: {letter.upper(): score for letter, score in value.items()}
            if isinstance(value, dict)
            else value
            for name, value in scores.items()
        },
        "spans": [span | {"answer": span["answer"].upper()} for span in spans],
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
        problem: Any = [str(error)]
        for name in reversed([*error.field, *error.letter.upper()]):
            problem = {name: problem}
        raise serializers.ValidationError(problem) from error
