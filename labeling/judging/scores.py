"""The scores and spans of a ranking: as they are written, and as they are read again."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from labeling.judging import criteria
from labeling.judging.judgment import LETTERS, InvalidRanking, Judgment, Verdict
from labeling.models import Assignment, Candidate, Ranking, Score, Span
from labeling.models.criteria import INSTRUCT_GPT, LONGEST_SPAN_LABEL
from modelops import rows
from people.models import Project

MOST_SPANS = 500  # in one ranking
SHOWN = 60  # characters of a value that a message names
# What `stored` reads, for a query of rankings: the same number of queries for one and for many.
WITH_SCORES = ("scores__criterion", "spans")


# Written


def scores_of(ranking: Ranking, judgment: Judgment, sheet: Assignment) -> list[Score]:
    """The rows of a judgment's ratings, flags and scores; `sheet.order` holds its candidates."""
    candidates = dict(zip(LETTERS, sheet.order))
    verdicts = judgment.verdicts
    rows = list(
        of_preset(
            ranking, {candidates[letter]: verdicts[letter] for letter in verdicts}, sheet.project
        )
    )
    pks = {asked.name: asked.pk for asked in criteria.accepted(sheet.project)}
    for name, value in judgment.scores.items():
        by_candidate = (
            {candidates[letter]: score for letter, score in value.items()}
            if isinstance(value, dict)
            else {None: value}
        )
        rows += [
            Score(ranking=ranking, criterion_id=pks[name], candidate_id=candidate, value=score)
            for candidate, score in by_candidate.items()
        ]
    return rows


def of_preset(ranking: Ranking, verdicts: dict[int, Verdict], project: Project) -> Iterator[Score]:
    """The rows of ratings and flags; `verdicts` by candidate. A flag that is named twice counts
    once.
    """
    flags = {flag for verdict in verdicts.values() for flag in verdict.flags}
    if not flags and all(verdict.rating is None for verdict in verdicts.values()):
        return
    rating, flag_keys = criteria.preset(project, flags)
    for candidate, verdict in verdicts.items():
        if verdict.rating is not None:
            yield Score(
                ranking=ranking,
                criterion_id=rating,
                candidate_id=candidate,
                value=verdict.rating,
            )
        for flag in dict.fromkeys(verdict.flags):
            yield Score(
                ranking=ranking, criterion_id=flag_keys[flag], candidate_id=candidate, value=True
            )


def spans_of(ranking: Ranking, judgment: Judgment, sheet: Assignment) -> list[Span]:
    """The rows of a judgment's spans. Raises InvalidRanking where an answer has no such part."""
    if not judgment.spans:
        return []
    if len(judgment.spans) > MOST_SPANS:
        raise InvalidRanking(too_many(len(judgment.spans)), field=("spans",))
    candidates = dict(zip(LETTERS, sheet.order))
    if wrong := next(span_faults(judgment.spans, sheet), None):
        _number, _name, message = wrong
        raise InvalidRanking(message, field=("spans",))
    return [
        Span(
            ranking=ranking,
            candidate_id=candidates[span["answer"]],
            **{name: span[name] for name in ("label", "start", "end")},
        )
        for span in judgment.spans
    ]


def span_faults(
    spans: Collection[dict[str, Any]], sheet: Assignment
) -> Iterator[tuple[int, str, str]]:
    """Yield (number of the span, its field, what is wrong with it)."""
    lengths = {
        letter: len(sheet.texts[candidate]) for letter, candidate in zip(LETTERS, sheet.order)
    }
    seen = set()
    unknown = _unknown_labels({span["label"] for span in spans}, sheet.project)
    for number, span in enumerate(spans):
        length = lengths.get(span["answer"])
        if length is None:
            yield number, "answer", _("There is no such answer.")
        elif span["label"] in unknown:
            yield (
                number,
                "label",
                _("This project has no such label: %(label)s.") % {"label": span["label"]},
            )
        elif not 0 <= span["start"] < span["end"] <= length:
            yield (
                number,
                "end",
                _(
                    "A span starts before it ends, within the answer's %(length)s characters "
                    "(Unicode code points)."
                )
                % {"length": length},
            )
        elif (key := tuple(sorted(span.items()))) in seen:
            yield number, "start", _("This span is there twice.")
        else:
            seen.add(key)


def _unknown_labels(labels: set[str], project: Project) -> set[str]:
    """Those that the project neither has nor had: a mark of a label that was removed stays right.
    A project without labels takes any from scripts.
    """
    known = set(project.rules.span_labels)
    if not known or labels <= known:
        return set()
    used = Span.objects.filter(ranking__task__project=project, label__in=labels - known)
    return labels - known - set(used.values_list("label", flat=True).distinct())


def too_many(count: int) -> str:
    return _("One judgment marks at most %(most)s passages; these are %(count)s.") % {
        "most": MOST_SPANS,
        "count": count,
    }


# Imported: frozen rows name answers by position, and criteria by name


def import_fault(judgment: dict[str, Any], known: dict[str, criteria.Asked]) -> str:
    """Why the scores of a frozen judgment can't be scores of the project with these criteria, and
    what to do about it; empty where they can.
    """
    for name, given in judgment.get("scores", {}).items():
        criterion = known.get(name)
        if criterion is None:
            return _missing(name)
        if criterion.preset:
            return _(
                "In this project %(name)s belongs to the preset %(preset)s, whose values stand in "
                "ratings and flags. Import into a project that has it as a criterion of its own."
            ) % {"name": name, "preset": INSTRUCT_GPT}
        if criterion.of_answers != isinstance(given, list):
            return (
                _("%(name)s is about each answer: give a list with a value, or null, for each.")
                if criterion.of_answers
                else _("%(name)s is about all answers together: give one value, not a list.")
            ) % {"name": name}
        for value in given if criterion.of_answers else [given]:
            if value is not None and (fault := criterion.fault(value)):
                shown = {"value": rows.canonical(value)[:SHOWN], "name": name, "fault": fault}
                return _("%(value)s is no value of %(name)s in this project. %(fault)s") % shown
    return ""


def _missing(name: str) -> str:
    key, _at, revision = name.partition("@")
    if not revision:
        message = _("This project has no criterion %(name)s. Add it, then import again.")
    else:
        message = _(
            "This project has no criterion %(name)s. Each change of %(key)s makes its next "
            "revision: make this one, then import again."
        )
    return message % {"name": name, "key": key}


def of_import(
    ranking: Ranking,
    judgment: dict[str, Any],
    answers: list[Candidate],
    known: dict[str, criteria.Asked],
) -> Iterator[Score]:
    """The rows of a frozen judgment's scores, which have no import_fault."""
    for name, given in judgment.get("scores", {}).items():
        values = zip(answers, given, strict=True) if isinstance(given, list) else [(None, given)]
        for candidate, value in values:
            if value is not None:
                yield Score(
                    ranking=ranking,
                    criterion_id=known[name].pk,
                    candidate=candidate,
                    value=value,
                )


def spans_of_import(
    ranking: Ranking, judgment: dict[str, Any], answers: list[Candidate]
) -> Iterator[Span]:
    """The rows of a frozen judgment's spans."""
    for span in judgment.get("spans", ()):
        yield Span(
            ranking=ranking,
            candidate=answers[span["answer"]],
            **{name: span[name] for name in ("label", "start", "end")},
        )


# Read


@dataclass
class Stored:
    """What a ranking says beside its ranks, by candidate. Values of a criterion that is about the
    whole ranking are alone in `scores`; the others are by candidate there too.
    """

    ratings: dict[int, int] = field(default_factory=dict)
    flags: dict[int, list[str]] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)


def stored(ranking: Ranking) -> Stored:
    """Read it; rankings that were queried with WITH_SCORES take no query more."""
    stored = Stored(spans=sorted(ranking.spans.all(), key=_in_text))
    for score in sorted(ranking.scores.all(), key=lambda score: score.pk):
        criterion, candidate = score.criterion, score.candidate_id
        if criterion.preset and criterion.kind == criteria.Kind.SCALE:
            stored.ratings[candidate] = score.value
        elif criterion.preset:
            stored.flags.setdefault(candidate, []).append(criterion.question)
        elif candidate is None:
            stored.scores[criterion.name] = score.value
        else:
            stored.scores.setdefault(criterion.name, {})[candidate] = score.value
    return stored


def _in_text(span: Span) -> tuple:
    return span.candidate_id, span.start, span.end, span.label


def by_letter(stored: Stored, letter_of: dict[int, str]) -> dict[str, Any]:
    """Scores and spans with letters in place of candidates, as forms and the API name them."""
    return {
        "scores": {
            name: {letter_of[candidate]: score for candidate, score in value.items()}
            if isinstance(value, dict)
            else value
            for name, value in stored.scores.items()
        },
        "spans": [
            {
                "answer": letter_of[span.candidate_id],
                "label": span.label,
                "start": span.start,
                "end": span.end,
            }
            for span in sorted(
                stored.spans,
                key=lambda span: (letter_of[span.candidate_id], span.start, span.end, span.label),
            )
        ],
    }


def storable_span(value: Any) -> bool:
    """Whether this has the form of a span: {"answer", "label", "start", "end"}."""
    return (
        isinstance(value, dict)
        and set(value) == {"answer", "label", "start", "end"}
        and all(isinstance(value[name], str) for name in ("answer", "label"))
        and all(type(value[name]) is int for name in ("start", "end"))
        and 0 < len(value["label"]) <= LONGEST_SPAN_LABEL
    )
