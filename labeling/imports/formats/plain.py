"""Prompts, with or without answers and judgments."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from labeling.imports.formats.base import (
    MOST_ANSWERS,
    Format,
    among,
    answer,
    held,
    judge_kind,
    long_text,
    of_turns,
    only,
    ranking,
    text,
    whole,
)
from labeling.models import Prompt
from labeling.text import conversations
from labeling.text.conversations import BadPrompt, Entry
from labeling.text.reasons import kind_of, quoted

WHOLE = re.compile(r"(-?\d{1,6})(?:[.,]0+)?")
COLUMNS = re.compile(r"(answer|model|rank)_(\d{1,3})")
FIELDS = ("prompt", "messages", "author", "use_case", "language", "split", "source", "sensitive")
FIELDS += ("demonstration", "answers", "judgments", "labeler", "judge_kind")
FIELDS += ("licence", "metadata")
INSIDE = {
    "messages": ("role", "content"),
    "answers": ("text", "messages", "model", "rank"),
    "judgments": ("labeler", "ranks", "judge_kind", "answers"),
}

OF_ROLE = {"assistant": ("tool_calls",), "tool": ("tool_call_id", "name")}  # in messages


def unread(value: dict) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield (name, known names) for each name that read_prompt does not read; nested names have
    dots.
    """
    for name, inner in value.items():
        if name not in FIELDS and not COLUMNS.fullmatch(name):
            yield name, FIELDS
        elif name in INSIDE and isinstance(inner, list):
            for place, part in enumerate(inner):
                known = INSIDE[name]
                if name == "messages" and isinstance(part, dict):
                    known += OF_ROLE.get(str(part.get("role")), ())
                strange = set(part) - set(known) if isinstance(part, dict) else ()
                yield from ((f"{name}.{place}.{key}", known) for key in sorted(strange))


reads = only(
    *(name for name in FIELDS if name not in INSIDE),
    "metadata.*",
    *of_turns("messages"),
    "answers[*]",
    *(f"answers[*].{path}" for path in ("text", "model", "rank", *of_turns("messages"))),
    *(f"judgments[*].{name}" for name in ("labeler", "judge_kind", "ranks[*]", "answers[*]")),
    others=COLUMNS,
)


def read_prompt(value: object, file: str = "") -> Iterator[Entry]:
    """{"prompt": …} or {"messages": […]}, and optionally author, use_case, language, split,
    demonstration, sensitive, source, licence, metadata.

    "answers" are texts, or [{"text", "model", "rank"}], where "messages" (turns) may take the place
    of "text"; smaller ranks are better, equal ones a tie. Several judges' ranks stand in
    "judgments": [{"labeler", "ranks", "judge_kind"}], of all answers or of those whose positions
    stand in its "answers". A table has the columns answer_1, model_1,
    rank_1, answer_2, …
    """
    if isinstance(value, str):
        value = {"prompt": value}
    if not isinstance(value, dict) or ("prompt" in value) == ("messages" in value):
        raise BadPrompt(_why_no_prompt(value))
    messages = (
        [{"role": "user", "content": value["prompt"]}] if "prompt" in value else value["messages"]
    )
    source = text(value, "source")
    given = _given_answers(value)
    answers = _answers(given)
    judge = text(value, "labeler", 200)
    own = _own_judgments(value, given, judge or source or "imported")
    judges = ", ".join(filter(None, (judge, judge_kind(value))))
    yield Entry(
        messages=conversations.turns(messages),
        author=text(value, "author", 200),
        use_case=text(value, "use_case", 40),
        language=text(value, "language", 10),
        split=_split(value),
        source=source,
        licence=text(value, "licence"),
        metadata=conversations.metadata(held(value, "metadata", {})),
        sensitive=_is_sensitive(value),
        demonstration=long_text(held(value, "demonstration", ""), "demonstration"),
        answers=answers,
        judgments=_judgments(value, own, len(given)),
        ignored={"judges": judges} if judges and not own else {},
    )


def _why_no_prompt(value: object) -> str:
    needed = 'each line must be an object with either "prompt" or "messages"'
    if not isinstance(value, dict):
        return f"{needed}, not {kind_of(value)}"
    if "prompt" in value:
        return f"{needed}, not both"
    names = ", ".join(quoted(name) for name in list(value)[:5])
    return f"{needed}: this one has {names or 'nothing'}"


def _is_sensitive(value: dict) -> bool:
    sensitive = value.get("sensitive", False)
    if sensitive not in (True, False, "true", "false", "yes", "no", "1", "0"):
        raise BadPrompt(f"sensitive must be true or false, not {quoted(sensitive)}")
    return sensitive in (True, "true", "yes", "1")


def _split(value: dict) -> str:
    split = text(value, "split")
    if split and split not in Prompt.Split.values:
        raise BadPrompt(f"split must be train, validation or test, not {quoted(split)}")
    return split


def _given_answers(value: dict) -> object:
    """The answers as the row has them: as a list, or in columns."""
    listed, columns = held(value, "answers"), list(_columns(value))
    if listed is not None and columns:
        raise BadPrompt(
            "the answers of a row stand in answers or in answer_1, answer_2, …: not both"
        )
    return columns if listed is None else listed


def _columns(value: dict) -> Iterator[dict]:
    """The answers of a table's row. Raises BadPrompt for a model or a rank of none of them."""
    names = [name for name in value if name.startswith(("answer_", "model_", "rank_"))]
    numbers = {m[2] for name in names if (m := COLUMNS.fullmatch(name)) and _stands(value, name)}
    for number in sorted(numbers, key=lambda written: (int(written), written)):
        content = value.get(f"answer_{number}")
        if content is None:
            named = "model" if _stands(value, f"model_{number}") else "rank"
            raise BadPrompt(f"there is a {named}_{number} without an answer_{number}")
        item = {"text": content, "model": value.get(f"model_{number}", "")}
        rank = value.get(f"rank_{number}")
        yield item if rank is None else item | {"rank": _rank_in(rank)}


def _stands(value: dict, column: str) -> bool:
    """Whether the row has this column. An answer may be an empty text."""
    empty = (None,) if column.startswith("answer_") else (None, "")
    return value.get(column) not in empty


def _rank_in(cell: object) -> object:
    """The rank in a cell, which may be a text: also "1.0" or, as Germans write it, "1,0"."""
    number = WHOLE.fullmatch(cell.strip()) if isinstance(cell, str) else None
    return int(number[1]) if number else cell


def _answers(values: object) -> list[dict]:
    if not isinstance(values, list):
        raise BadPrompt(f"answers must be a list, not {kind_of(values)}")
    if len(values) > MOST_ANSWERS:
        raise BadPrompt(
            f"answers must be a list of at most {MOST_ANSWERS} answers, not of {len(values):,}"
        )
    return [_answer(value) for value in values]


def _answer(value: object) -> dict:
    if isinstance(value, str):
        return answer(value)
    if not isinstance(value, dict):
        raise BadPrompt(
            "each answer must be a text, or an object with a text or messages, "
            f"not {kind_of(value)}"
        )
    if value.get("text") is not None and value.get("messages") is not None:
        raise BadPrompt("an answer has a text or messages, not both")
    content = value.get("text") if value.get("messages") is None else value["messages"]
    if content is None:
        names = ", ".join(quoted(name) for name in list(value)[:5])
        raise BadPrompt(f"an answer needs a text or messages: one has {names or 'nothing'}")
    return answer(content, text(value, "model"))


def _own_judgments(value: dict, answers: list, judge: str) -> list[dict]:
    """The judgment that the ranks beside the answers make, if there are any."""
    ranks = [
        one.get("rank") for one in answers if isinstance(one, dict) and one.get("rank") is not None
    ]
    return [{"labeler": judge, "ranks": ranks, "judge_kind": judge_kind(value)}] if ranks else []


def _judgments(value: dict, own: list[dict], count: int) -> list[dict]:
    """The judgments of these many answers: the row's own, and those that it lists."""
    given = held(value, "judgments", [])
    if not isinstance(given, list):
        raise BadPrompt(f'judgments must be a list of {{"labeler", "ranks"}}, not {kind_of(given)}')
    judged = [_judgment(one, count) for one in own + given]
    whole = list(range(count))
    if len({(one["judge"], *one.get("answers", whole)) for one in judged}) < len(judged):
        raise BadPrompt("one labeler judges the same answers of a row once")
    return judged


def _judgment(value: object, count: int) -> dict:
    if not isinstance(value, dict):
        raise BadPrompt(f'a judgment must be {{"labeler", "ranks"}}, not {kind_of(value)}')
    positions = value.get("answers")
    if positions is not None:
        _check_positions(positions, count)
        count = len(positions)
    ranks = _ranks(value.get("ranks"), count)
    judgment = ranking(text(value, "labeler", 200) or "imported", ranks, judge_kind(value))
    return judgment if positions is None else among(judgment, positions)


def _ranks(ranks: object, count: int) -> list[int]:
    """One rank for each of these answers. Raises BadPrompt."""
    if not isinstance(ranks, list):
        raise BadPrompt(f"the ranks of a judgment must be a list, not {kind_of(ranks)}")
    if count < 2:
        raise BadPrompt(f"ranks need two or more answers to rank, not {count}")
    if len(ranks) != count:
        raise BadPrompt(
            f"each answer needs a rank, or none of them: {count} answers, {len(ranks)} ranks"
        )
    if unfit := [rank for rank in ranks if whole(rank) is None]:
        raise BadPrompt(f"a rank must be a whole number, not {quoted(unfit[0])}")
    return list(map(whole, ranks))


def _check_positions(positions: object, count: int) -> None:
    needed = "the answers of a judgment must be positions in answers, from 0, each once"
    if not isinstance(positions, list):
        raise BadPrompt(f"{needed}: a list, not {kind_of(positions)}")
    for place in positions:
        if type(place) is not int or not 0 <= place < count:
            raise BadPrompt(f"{needed}: of {count} answers, {quoted(place)} is none")
    if len(set(positions)) < len(positions):
        raise BadPrompt(f"{needed}: one is there twice")


def _looks_like(value: object) -> bool:
    return isinstance(value, str) or (
        isinstance(value, dict) and ("prompt" in value) != ("messages" in value)
    )


FORMATS = [
    Format(
        "prompts",
        _("Prompts, with or without answers and their ranks"),
        _looks_like,
        read_prompt,
        reads=reads,
    )
]
