"""Podium's own frozen rows, as the download `rows` has them: judgments, demonstrations, prompts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from labeling.imports.formats.base import (
    MOST_ANSWERS,
    Format,
    answer,
    has,
    held,
    judge_kind,
    long_text,
    of_turns,
    only,
    ranking,
    text,
    whole,
)
from labeling.judging.scores import MOST_SPANS
from labeling.models import Judge, Prompt, Ranking
from labeling.models.criteria import LONGEST_SPAN_LABEL, LONGEST_TEXT
from labeling.text import conversations
from labeling.text.conversations import BadPrompt, Entry
from labeling.text.reasons import kind_of, quoted
from modelops import rows

# The keys that this version reads; a row with another one is refused, so that nothing it says is
# lost in silence. docs/row.schema.json names the same keys.
PROMPT = ("prompt_id", "messages", "split", "use_case", "language")
ROW = (*PROMPT, "answers", "judgments", "text", "finish_reason")
ABOUT = ("source", "licence", "metadata")  # of a prompt: no row has them, but they may be added
ANSWER = ("id", "text", "messages", "model", "finish_reason", "tokens", "truncated")
JUDGMENT = ("labeler", "kind", "outcome", "ranks", "ratings", "flags", "strength", "seconds")
JUDGMENT += ("weight", "prompted", "judge_kind", "scores", "spans")
SPAN = ("answer", "label", "start", "end")

# What a judgment's `kind` says of its judge. "imported" says nothing.
JUDGE_KINDS = {
    Ranking.Kind.LABELER: "person",
    Ranking.Kind.ADJUDICATED: "person",
    Ranking.Kind.SIMULATED: "script",
}
DATASET = re.compile(r"-([0-9a-f]{12})[-.]")  # in a download's name: how the dataset's id begins
CRITERION = re.compile(r"[-\w]{1,40}(@[1-9]\d{0,4})?", re.ASCII)  # its name: key, or key@2
MOST_SECONDS = 10**9  # that a judgment took: 30 years
LONGEST_NAME = 100  # characters of a file's name that its judges are named by


def read_row(value: object, file: str = "") -> Iterator[Entry]:
    """A frozen row. Its judges are named by their number, and by the dataset in the file's name.

    A weight other than 1 is left out, and counted: it belongs to the copy, not to the judgment. So
    is a prompt_id that is not the sha256 of the messages.
    """
    row = _known(value, (*ROW, *ABOUT), "a row")
    messages = conversations.turns(row.get("messages", []))
    answers = _answers(held(row, "answers", []))
    judgments = [_judgment(judgment, answers, file) for judgment in held(row, "judgments", [])]
    if bool(answers) != bool(judgments):
        raise BadPrompt("answers and judgments belong together")
    if len({judgment["judge"] for judgment in judgments}) < len(judgments):
        raise BadPrompt("one labeler judges a row once")
    weights = [judgment.get("weight") for judgment in held(row, "judgments", [])]
    changed = [str(weight) for weight in weights if weight not in (None, 1)]
    ignored = {"weights": ", ".join(changed)} if changed else {}
    if row.get("prompt_id") != rows.digest(messages):  # it was changed, or made elsewhere
        ignored["prompt_id"] = str(row.get("prompt_id"))
    yield Entry(
        messages,
        use_case=text(row, "use_case", 40),
        language=text(row, "language", 10),
        split=_split(row),
        source=text(row, "source"),
        licence=text(row, "licence"),
        metadata=conversations.metadata(row.get("metadata", {})),
        demonstration=_demonstration(row),
        answers=answers,
        judgments=judgments,
        ignored=ignored,
        shares=True,
    )


def _known(value: object, names: tuple[str, ...], what: str) -> dict[str, Any]:
    """The object without its nulls. Raises BadPrompt if it is none, or has another key."""
    if not isinstance(value, dict):
        raise BadPrompt(f"{what} must be an object, not {kind_of(value)}")
    given = {name: content for name, content in value.items() if content is not None}
    if unknown := sorted(set(given) - set(names)):
        raise BadPrompt(f"{what} has a key that this version does not read: {unknown[0]}")
    return given


def _split(row: dict) -> str:
    if row.get("split") not in Prompt.Split.values:
        given = quoted(row.get("split"))
        raise BadPrompt(f"split must be train, validation or test, not {given}")
    return row["split"]


def _demonstration(row: dict) -> str:
    if "finish_reason" in row:
        raise BadPrompt("its text was cut by the sampler: a demonstration must be whole")
    return long_text(row.get("text", ""), "text")


def _answers(values: object) -> list[dict]:
    if not isinstance(values, list):
        raise BadPrompt(f"answers must be a list, not {kind_of(values)}")
    if len(values) > MOST_ANSWERS:
        raise BadPrompt(
            f"answers must be a list of at most {MOST_ANSWERS} answers, not of {len(values):,}"
        )
    return [_answer(position, value) for position, value in enumerate(values)]


def _answer(position: int, value: object) -> dict:
    given = _known(value, ANSWER, "an answer")
    if given.get("id") != position:
        raise BadPrompt("the id of an answer must be its position, from 0")
    tokens = given.get("tokens", 0)
    if type(tokens) is not int or not 0 <= tokens < 2**31:
        raise BadPrompt("tokens must be a whole number")
    if given.get("truncated", True) is not True:
        raise BadPrompt("truncated must be true, or absent")
    made = answer(given.get("messages", given.get("text")), text(given, "model"))
    if made["text"] != given.get("text"):
        raise BadPrompt("the text of an answer must be what its messages say")
    if reason := text(given, "finish_reason", 20):
        made["finish_reason"] = reason
    return made | {name: given[name] for name in ("tokens", "truncated") if name in given}


def _judgment(value: object, judged: list[dict], file: str) -> dict:
    """What a judgment says of these answers; keys that say nothing are absent.

    Whether the project has the criteria of its scores is checked where the project is known.
    """
    answers = len(judged)
    given = _known(value, JUDGMENT, "a judgment")
    outcome = given.get("outcome")
    if outcome not in Ranking.Outcome.values:
        raise BadPrompt(f"outcome must be ranked, all_bad or cannot_judge, not {quoted(outcome)}")
    if given.get("kind") not in Ranking.Kind.values:
        known = ", ".join(Ranking.Kind.values)
        raise BadPrompt(f"kind must be one of {known}; not {quoted(given.get('kind'))}")
    judgment = ranking(_judge(given.get("labeler"), file), _ranks(given, answers))
    if outcome != Ranking.Outcome.RANKED:
        judgment |= {"ranks": None, "outcome": outcome}
    if kind := _judge_kind(given):
        judgment["judge_kind"] = kind
    ratings, flags = _ratings(given, answers), _flags(given, answers)
    if any(rating is not None for rating in ratings):
        judgment["ratings"] = ratings
    if any(flags):
        judgment["flags"] = flags
    if "strength" in given:
        judgment["strength"] = _strength(given["strength"], answers)
    if seconds := _seconds(given.get("seconds", 0)):
        judgment["seconds"] = seconds
    if "prompted" in given:
        if given["prompted"] is not True:
            raise BadPrompt("prompted must be true, or absent")
        judgment["prompted"] = True
    if scores := _scores(given, answers):
        judgment["scores"] = scores
    if spans := _spans(given, judged):
        judgment["spans"] = spans
    return judgment


def _judge_kind(judgment: dict) -> str:
    """What the row says its judge is; "" where it says nothing."""
    kind = judge_kind(judgment)
    if kind and (judgment["kind"] != Ranking.Kind.IMPORTED or kind == Judge.Kind.PERSON):
        raise BadPrompt("judge_kind is only of an imported judge that is no person")
    return kind or JUDGE_KINDS.get(judgment["kind"], "")


def _judge(number: object, file: str) -> str:
    """A name for the labeler of this number: it means nothing outside of the dataset."""
    if type(number) is not int or number < 0:
        raise BadPrompt(f"labeler must be a number, from 0, not {quoted(number)}")
    dataset = DATASET.search(file)
    of = f"dataset {dataset[1]}" if dataset else Path(file).name.split(".")[0][:LONGEST_NAME]
    return f"{of} labeler {number}"


def _ranks(judgment: dict, answers: int) -> list[int]:
    """One rank for each answer; none where nothing was ranked."""
    ranks = judgment.get("ranks", [])
    expected = answers if judgment["outcome"] == Ranking.Outcome.RANKED else 0
    if not isinstance(ranks, list):
        raise BadPrompt(f"ranks must be a list, not {kind_of(ranks)}")
    if len(ranks) != expected:
        raise BadPrompt(
            "ranks must hold one rank for each answer; none where nothing was ranked: "
            f"{len(ranks)} instead of {expected}"
        )
    if unfit := [rank for rank in ranks if (whole(rank) or 0) < 1]:
        raise BadPrompt(f"ranks must be whole numbers, from 1, not {quoted(unfit[0])}")
    return [int(rank) for rank in ranks]


def _ratings(judgment: dict, answers: int) -> list[int | None]:
    ratings = held(judgment, "ratings", [None] * answers)
    known = (None, 1, 2, 3, 4, 5, 6, 7)
    if not isinstance(ratings, list) or len(ratings) != answers:
        raise BadPrompt("ratings must hold one rating, or null, for each answer")
    if any(isinstance(rating, bool | float) or rating not in known for rating in ratings):
        raise BadPrompt("a rating must be a whole number from 1 to 7, or null")
    return ratings


def _flags(judgment: dict, answers: int) -> list[list[str]]:
    flags = held(judgment, "flags", [[] for _answer in range(answers)])
    if not isinstance(flags, list) or len(flags) != answers:
        raise BadPrompt("flags must hold a list of flags for each answer")
    for names in flags:
        if not isinstance(names, list):
            raise BadPrompt(f"the flags of an answer must be a list, not {kind_of(names)}")
        for name in names:
            if not isinstance(name, str) or not 0 < len(name) <= 100:
                raise BadPrompt(
                    f"a flag must be a text of at most 100 characters, not {quoted(name)}"
                )
    return [[conversations.storable(name) for name in names] for names in flags]


def _scores(judgment: dict, answers: int) -> dict[str, Any]:
    """By the criterion's name a value, or a list with a value or null for each answer."""
    needed = "scores must be an object with the names of criteria: key, or key@2"
    scores = conversations.from_json(judgment.get("scores", {}), needed)  # a text in Parquet
    if not isinstance(scores, dict) or not all(map(CRITERION.fullmatch, scores)):
        raise BadPrompt(needed)
    for name, said in scores.items():
        of_answers = isinstance(said, list)
        if of_answers and len(said) != answers:
            raise BadPrompt(f"scores: {name} must hold one value, or null, for each answer")
        values = [value for value in said if value is not None] if of_answers else [said]
        if not all(map(_is_score, values)):
            raise BadPrompt(
                f"scores: a value of {name} must be a whole number, true, false, "
                f"or a text of at most {LONGEST_TEXT:,} characters"
            )
    return scores


def _is_score(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT and conversations.storable(value) == value
    return isinstance(value, int)


def _spans(judgment: dict, answers: list[dict]) -> list[dict]:
    spans = judgment.get("spans", [])
    if not isinstance(spans, list) or len(spans) > MOST_SPANS:
        raise BadPrompt(f"spans must be a list of at most {MOST_SPANS} spans")
    checked = [_span(span, answers) for span in spans]
    if len({rows.canonical(span) for span in checked}) < len(checked):
        raise BadPrompt("a judgment marks a span once")
    return checked


def _span(value: object, answers: list[dict]) -> dict:
    """A part of an answer, in Unicode code points of its text."""
    span = _known(value, SPAN, "a span")
    position, label, start, end = (span.get(name) for name in SPAN)
    if type(position) is not int or not 0 <= position < len(answers):
        raise BadPrompt("the answer of a span must be the id of an answer of its row")
    if not isinstance(label, str) or not 0 < len(label) <= LONGEST_SPAN_LABEL:
        raise BadPrompt(
            f"the label of a span must be a text of 1 to {LONGEST_SPAN_LABEL} characters"
        )
    if conversations.storable(label) != label:
        raise BadPrompt("the label of a span holds a character that can't be stored")
    length = len(answers[position]["text"])
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= length:
        raise BadPrompt(
            f"a span must start before it ends, within the {length:,} characters "
            "(Unicode code points) of its answer"
        )
    return span


def _strength(strength: object, answers: int) -> int:
    if type(strength) is not int or abs(strength) > 3 or answers != 2:
        given = f"{quoted(strength)} of {answers} answers"
        raise BadPrompt(
            f"strength must be a whole number from -3 to 3, and there of two answers, not {given}"
        )
    return strength


def _seconds(seconds: object) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise BadPrompt(f"seconds must be a number, not {kind_of(seconds)}")
    if not 0 <= seconds <= MOST_SECONDS:
        raise BadPrompt(f"seconds must be a number, from 0 to {MOST_SECONDS:,}, not {seconds}")
    return float(seconds)


_reads_turns = only(*of_turns("messages"), *of_turns("answers[*].messages"))


def _reads(path: str) -> bool:
    """All but what no turn has: a row with another key is bad."""
    is_of_turn = path.startswith(("messages[*].", "answers[*].messages[*]."))
    return _reads_turns(path) if is_of_turn else True


FORMATS = [
    Format(
        "rows",
        _("Podium's frozen rows, with their judgments"),
        lambda value: has(value, *PROMPT) and "prompt" not in value,
        read_row,
        reads=_reads,
    )
]
