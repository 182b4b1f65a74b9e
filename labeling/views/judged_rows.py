"""How a judged row is shown: a task of the project, a row of a dataset, or a row of a difference.

A row is what a dataset holds (modelops/rows.py). Its texts are untrusted: they are shown as they
are written, or, in whole, through Podium's own Markdown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from labeling.judging.form import sport
from labeling.judging.judgment import letter
from labeling.models import Judge, Ranking
from labeling.models.rules import FLAGS
from labeling.text import conversations, markdown
from modelops import rows

PROMPT_BEGINNING = 700  # characters that a list shows
ANSWER_BEGINNING = 260


@dataclass(frozen=True)
class ShownAnswer:
    """An answer: the beginning of its text, or all of it as HTML; the rank of each judgment,
    counted as in sport.
    """

    letter: str
    model: str
    beginning: str
    html: SafeString
    remarks: list[str]
    ranks: list[int | None]
    marked: SafeString = SafeString("")  # its source, with what judges marked in it
    marks: int = 0


@dataclass(frozen=True)
class ShownJudgment:
    """Who judged, and what: "B > A = C" with letters of answers, and what was said besides."""

    who: str
    judge: str  # the pseudonym, where a filter can ask for it
    kind: str  # of judge, where it is no person
    order: str
    remarks: list[str]
    details: list[tuple[str, str]]
    at: Any = None
    mark: str = ""  # of a difference: "added", "gone" or "changed"
    was: str = ""  # the order that it had before


@dataclass(frozen=True)
class Place:
    """Where a row of a list is by itself: its id on the page, its title, and the addresses of it in
    whole and in brief.
    """

    id: str
    title: str
    address: str
    brief: str


def place(id: str, title: str, address: str, query: str = "") -> Place:
    whole = f"{address}?{query}" if query else address
    return Place(id, title, whole, f"{whole}{'&' if query else '?'}brief=1")


@dataclass(frozen=True)
class ShownRow:
    """A row with what stands above its prompt, in brief or in whole."""

    row: dict[str, Any]
    whole: bool
    turns: list[conversations.Turn]
    earlier: int  # turns that are not shown
    about: list[str]
    text: SafeString | str
    answers: list[ShownAnswer]
    judgments: list[ShownJudgment]
    unformatted: bool = False  # the answers, because one of them can't be formatted
    place: Place | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class By:
    """Who made a judgment, as this reader may know them."""

    who: str
    judge: str = ""
    kind: str = ""
    at: Any = None
    note: str = ""


def shown(
    row: dict[str, Any],
    whole: bool,
    by: Sequence[By] = (),
    place: Place | None = None,
    **extra: Any,
) -> ShownRow:
    """The row as a page shows it. `by` says who made each judgment; numbers of labelers without."""
    judgments = row.get("judgments", [])
    ranks = [sport(dict(enumerate(judgment["ranks"]))) for judgment in judgments]
    by = by or [by_number(judgment) for judgment in judgments]
    turns = conversations.shown(row.get("messages", []))
    text = row.get("text", "")
    spans = [span for judgment in judgments for span in judgment.get("spans", ())]
    answers = row.get("answers", [])
    htmls, formatted = _htmls(answers, whole)
    return ShownRow(
        row=row,
        whole=whole,
        turns=turns if whole else [_beginning_of(turn) for turn in turns[-1:]],
        earlier=0 if whole else max(len(turns) - 1, 0),
        about=[row[name] for name in ("use_case", "language", "split") if row.get(name)],
        text=markdown.render(text) if whole and text else cut(text, PROMPT_BEGINNING),
        answers=[
            _answer(
                position,
                answer,
                html,
                [of_all.get(position) for of_all in ranks],
                whole,
                [span for span in spans if span["answer"] == position],
                sorted({span["label"] for span in spans}),
            )
            for position, (answer, html) in enumerate(zip(answers, htmls))
        ],
        judgments=[
            _judgment(judgment, who, row["answers"], whole)
            for judgment, who in zip(judgments, by, strict=True)
        ],
        unformatted=not formatted,
        place=place,
        extra=extra,
    )


def _htmls(answers: list[dict[str, Any]], whole: bool) -> tuple[list[SafeString], bool]:
    """Each answer as HTML if all of it is shown, and whether they are formatted."""
    if not whole:
        return [SafeString("")] * len(answers), True
    return markdown.render_alike([answer["text"] for answer in answers])


def cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest].rstrip() + "…"


def _beginning_of(turn: conversations.Turn) -> conversations.Turn:
    return turn._replace(text=cut(turn.text, PROMPT_BEGINNING))


def _answer(
    position: int,
    answer: dict[str, Any],
    html: SafeString,
    ranks: list[int | None],
    whole: bool,
    spans: list[dict[str, Any]],
    labels: list[str],
) -> ShownAnswer:
    remarks = []
    if not rows.has_ended(answer):
        remarks.append(_("cut at the length limit"))
    if answer.get("truncated"):
        remarks.append(_("prompt cut"))
    return ShownAnswer(
        letter=letter(position).upper(),
        model=answer["model"],
        beginning=cut(answer["text"], ANSWER_BEGINNING),
        html=html,
        remarks=remarks,
        ranks=ranks,
        marked=marked(answer["text"], spans, labels) if whole and spans else SafeString(""),
        marks=len(spans),
    )


MARK = '<mark class="mark-{}" title="{}">{}</mark>'
COLOURS = 9  # of labels, in podium.css


def marked(text: str, spans: Sequence[dict[str, Any]], labels: Sequence[str]) -> SafeString:
    """The text with a <mark> around each part that spans cover; where several do, it has the colour
    of the one that begins first, and its title names all labels. `labels` are those of the row.
    """
    begins, ends = defaultdict(list), defaultdict(list)
    for span in spans:
        begins[span["start"]].append(span["label"])
        ends[span["end"]].append(span["label"])
    covering: dict[str, int] = {}  # how many spans of each label, in the order of their beginnings
    parts = []
    for start, end in pairwise(sorted({0, len(text), *begins, *ends})):
        for label in ends[start]:
            covering[label] -= 1
        for label in begins[start]:
            covering[label] = covering.get(label, 0) + 1
        covering = {label: count for label, count in covering.items() if count}
        part = text[start:end]
        if covering:
            colour = labels.index(next(iter(covering))) % COLOURS + 1
            parts.append(format_html(MARK, colour, ", ".join(covering), part))
        else:
            parts.append(format_html("{}", part))
    return mark_safe(markdown.leading_break(text) + "".join(parts))


def order(judgment: dict[str, Any]) -> str:
    """The judgment in letters, best first: "B > A = C"; its outcome where nothing was ranked."""
    tiers: dict[int, list[str]] = {}
    for position, rank in enumerate(judgment["ranks"]):
        tiers.setdefault(rank, []).append(letter(position).upper())
    if not tiers:
        return str(Ranking.Outcome(judgment["outcome"]).label).capitalize()
    return " > ".join(" = ".join(tiers[rank]) for rank in sorted(tiers))


def by_number(judgment: dict[str, Any]) -> By:
    number = judgment["labeler"]
    return By(_("Labeler %(number)s") % {"number": number}, kind=judgment.get("judge_kind", ""))


def _judgment(judgment: dict[str, Any], by: By, answers: list[dict], whole: bool) -> ShownJudgment:
    remarks = [_("prompted")] if judgment.get("prompted") else []
    if judgment["kind"] in Ranking.FOR_ALL:
        remarks.append(str(Ranking.Kind(judgment["kind"]).label))
    details = _details(judgment, answers) if whole else []
    if whole and by.note:
        details.append((_("Note"), by.note))
    kind = by.kind if by.kind and by.kind != Judge.Kind.PERSON else ""
    return ShownJudgment(by.who, by.judge, kind, order(judgment), remarks, details, by.at)


def _details(judgment: dict[str, Any], answers: list[dict]) -> list[tuple[str, str]]:
    """(name, values) of all that a judgment says beside its order."""
    details = []
    if any(rating is not None for rating in judgment["ratings"]):
        details.append((_("Ratings"), _by_letter(judgment["ratings"])))
    flags = [", ".join(str(FLAGS.get(flag, flag)) for flag in names) for names in judgment["flags"]]
    if any(flags):
        details.append((_("Flags"), _by_letter([text or None for text in flags])))
    if judgment["strength"] is not None:
        details.append((_("Strength"), f"{judgment['strength']:+d}"))
    for name, value in judgment.get("scores", {}).items():
        details.append((name, _by_letter(value) if isinstance(value, list) else _as_text(value)))
    for span in judgment.get("spans", []):
        part = answers[span["answer"]]["text"][span["start"] : span["end"]]
        about = f"{letter(span['answer']).upper()}, {span['label']}"
        details.append((about, f"“{cut(part, ANSWER_BEGINNING)}”"))
    if judgment["seconds"]:
        details.append((_("Time"), _("%(seconds)s s") % {"seconds": judgment["seconds"]}))
    return details


def _by_letter(values: list) -> str:
    """What was said of each answer, like "A 6, C 2"; those of which nothing was are left out."""
    return ", ".join(
        f"{letter(position).upper()} {_as_text(value)}"
        for position, value in enumerate(values)
        if value is not None
    )


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return str(value)
