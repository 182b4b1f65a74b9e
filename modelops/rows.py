"""The frozen rows of datasets and their views. Standard library only, so that trainers and exports
share it.

A row of a judgments dataset is one ranking task, listwise:

    prompt_id, messages, split, use_case, language,
              messages are turns {role, content}; `content` is a text or parts [{type: "text",
              text}]; the assistant's turn may have `tool_calls` [{id, type, function: {name,
              arguments}}], whose arguments are JSON text; a tool's turn `tool_call_id` and `name`
    answers   [{id, text, model, finish_reason, tokens}]
              an answer's id is its position; `finish_reason` "length": the sampler cut it;
              `truncated`, true, is there only where its model read the prompt in part
              `messages` only where the answer is more than a text: its turns, the first of them
              the assistant's; `text` is then what they say, see answer_text()
    judgments [{labeler, kind, outcome, ranks, ratings, flags, strength, seconds, weight}]
              ranks[i] is of answers[i]; only where there are any:
              scores {criterion: value, or a list of values in the answers' order}
              spans [{answer, label, start, end}], in Unicode code points, end exclusive
              prompted, true: the labeler had seen what others decided or said about the task
              judge_kind "model", "script" or "unknown", where an imported judge is said to be no
              person

docs/row.schema.json is the same as a JSON Schema; labeling/imports/formats/rows.py reads rows back.

Ranks are dense, 1 is best, equal ranks are a tie; `ranks` is empty where nothing was ranked (all
bad, cannot judge). `weight` is 1: fitted weights lie in a side file, see weighted(). An answer may
carry the `score` that a reward model gave it. A row of a text
dataset is {text, split}. A row of a demonstrations or text dataset whose answer the sampler cut has
`finish_reason` "length" too; no other one has the key.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

HELD_OUT = ("validation", "test")
SCHEMA = "schema.json"  # the file beside the rows with the criteria of their scores, if any
CUT = "length"  # the finish_reason of an answer that the sampler cut at its longest length


def canonical(value: Any) -> str:
    """`value` as its one JSON line: sorted keys, no spaces, no escapes, no NaN."""
    return _LINE.encode(value)


_LINE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """sha256 of the canonical line, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def read(folder: str | Path, name: str = "rows.jsonl") -> Iterator[dict[str, Any]]:
    """The rows of a frozen dataset's folder, one at a time."""
    with open(Path(folder) / name, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


# Turns

INSTRUCTIONS = ("system", "developer")  # roles whose turns nobody says in the conversation
SPEAKERS = {"user": "Human"}  # as hh-rlhf has it; the other roles' names are their own


def content_text(turn: dict[str, Any]) -> str:
    """The words of a turn's content: the text, or the texts of its parts, a line break between."""
    content = turn.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content)


def turn_text(turn: dict[str, Any]) -> str:
    """All that a turn says, as text: its content, then a line `name(arguments)` for each tool call.

    Who takes text out of a turn takes it here, so that parts and tool calls count everywhere.
    """
    content = content_text(turn)
    if not turn.get("tool_calls"):
        return content
    functions = [call["function"] for call in turn["tool_calls"]]
    calls = [f"{function['name']}({function['arguments']})" for function in functions]
    return "\n".join(text for text in (content, *calls) if text)


def is_plain(messages: Iterable[dict[str, Any]]) -> bool:
    """Whether each turn is a role and a text, and no more."""
    return all(
        turn.keys() == {"role", "content"} and isinstance(turn["content"], str) for turn in messages
    )


def called(turn: dict[str, Any]) -> dict[str, Any]:
    """The turn as chat templates and TRL read it: the arguments of its calls are objects."""
    if "tool_calls" not in turn:
        return turn
    return turn | {"tool_calls": [_with_object(call) for call in turn["tool_calls"]]}


def _with_object(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return call | {"function": function | {"arguments": json.loads(function["arguments"])}}


def spoken(messages: Iterable[dict[str, Any]]) -> list[str]:
    """The texts of a conversation's turns without the instructions of system and developer."""
    return [turn_text(turn) for turn in messages if turn["role"] not in INSTRUCTIONS]


def transcript(messages: Iterable[dict[str, Any]]) -> str:
    """A conversation as hh-rlhf writes it: each turn after an empty line, its speaker before it."""
    return "".join(
        f"\n\n{SPEAKERS.get(turn['role'], turn['role'].capitalize())}: {turn_text(turn)}"
        for turn in messages
    )


def answer_text(turns: list[dict[str, Any]]) -> str:
    """The turns of an answer as one text: the assistant's first words, then a transcript."""
    return transcript(turns).removeprefix("\n\nAssistant: ")


def answer_turns(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The turns of an answer of a row; of a text alone, the assistant's one turn."""
    return answer.get("messages") or [{"role": "assistant", "content": answer["text"]}]


def dense(ranks: Iterable[float]) -> list[int]:
    """Ranks with the gaps closed: [1, 3, 3, 7] becomes [1, 2, 2, 3]."""
    ranks = list(ranks)
    order = {rank: place for place, rank in enumerate(sorted(set(ranks)), start=1)}
    return [order[rank] for rank in ranks]


def pairs(ranks: list[int], which: str = "all") -> list[tuple[int, int]]:
    """(winner, loser) positions that one ranking implies; ties make none.

    `which`: "all" pairs of unequal rank, "adjacent" only pairs of neighbouring ranks, "best" only
    those that a first-ranked answer wins.
    """
    keep: Callable[[int, int], bool] = {
        "all": lambda win, lose: win < lose,
        "adjacent": lambda win, lose: lose - win == 1,
        "best": lambda win, lose: win == 1 and lose > 1,
    }[which]
    count = range(len(ranks))
    return [(i, j) for i in count for j in count if i != j and keep(ranks[i], ranks[j])]


def row_pairs(row: dict[str, Any], which: str = "all") -> list[tuple[int, int]]:
    """All judgments' pairs of a row, with repeats where labelers agree."""
    return [pair for judgment in row["judgments"] for pair in pairs(judgment["ranks"], which)]


def is_independent(judgment: dict[str, Any]) -> bool:
    """Whether it was made without knowing what others say of the task. Agreement is of these."""
    return not judgment.get("prompted")


def independent_ranks(row: dict[str, Any]) -> list[list[int]]:
    """The ranks of a row's independent judgments. Empty for a row of another kind."""
    return [judgment["ranks"] for judgment in row.get("judgments", ()) if is_independent(judgment)]


def mean_ranks(row: dict[str, Any]) -> list[float]:
    """Each answer's mean rank, judgments counting by weight; empty where nothing counts.

    The consensus of a row is the order of these. They are rounded to nine decimals, so that equal
    means are a tie whatever the order of adding.
    """
    ranked = [judgment for judgment in row["judgments"] if judgment["ranks"]]
    weights = [judgment.get("weight", 1.0) for judgment in ranked]
    if not sum(weights):
        return []
    by_answer = zip(*(judgment["ranks"] for judgment in ranked), strict=True)
    sums = [sum(map(operator.mul, weights, ranks)) for ranks in by_answer]
    return [round(total / sum(weights), 9) for total in sums]


def weighted(row: dict[str, Any], weights: Mapping[str, float]) -> dict[str, Any]:
    """A judgments row whose judgments have the weights of their labelers, by the labeler's number.

    A labeler without a weight keeps the one of the row. Frozen rows hold no fitted weights: these
    differ between processors and days, and the rows' id may not.
    """
    judgments = [
        judgment | {"weight": weights.get(str(judgment["labeler"]), judgment.get("weight", 1.0))}
        for judgment in row["judgments"]
    ]
    return row | {"judgments": judgments}


def best(row: dict[str, Any]) -> int | None:
    """Position of the answer with the smallest mean rank over the judgments, the first of equals;
    None without any.
    """
    means = mean_ranks(row)
    return means.index(min(means)) if means else None


# Answers that were cut


def has_ended(answer: dict[str, Any]) -> bool:
    """Whether an answer of a judgments row, or the text of a row of another kind, came to its end.

    One without a finish_reason, such as a person's or an imported one, has.
    """
    return answer.get("finish_reason") != CUT


def ended(row: dict[str, Any]) -> dict[str, bool]:
    """Whether each distinct text of a row came to its own end; of equal texts one is enough."""
    result: dict[str, bool] = {}
    for answer in row["answers"]:
        result[answer["text"]] = result.get(answer["text"], False) or has_ended(answer)
    return result


def turns_of(row: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The turns of the answers that are more than a text, by their text; the first of equal ones.

    What a model reads of a text is its turns, where it has some here.
    """
    result: dict[str, list[dict[str, Any]]] = {}
    for answer in row["answers"]:
        if "messages" in answer:
            result.setdefault(answer["text"], answer["messages"])
    return result


def of_one_speaker(content: str | list[dict[str, Any]]) -> bool:
    """Whether the assistant alone says all of an answer, a text or turns."""
    return isinstance(content, str) or all(turn["role"] == "assistant" for turn in content)


# Good and bad answers


def half(judgment: dict[str, Any]) -> list[int]:
    """+1 for an answer with more below than above it, −1 for the reverse, 0 between."""
    ranks = judgment["ranks"]
    return [sign(sum((other > rank) - (other < rank) for other in ranks)) for rank in ranks]


def first(judgment: dict[str, Any]) -> list[int]:
    """+1 for the first, −1 for all others; nothing where all are equal."""
    ranks = judgment["ranks"]
    return [0 if len(set(ranks)) == 1 else 1 if rank == 1 else -1 for rank in ranks]


def rated(judgment: dict[str, Any]) -> list[int]:
    """+1 for a rating above 4, the middle of the scale, −1 for one below."""
    return [
        sign(rating - 4) if rating is not None else 0 for rating in judgment.get("ratings") or []
    ]


VOTES = {"half": half, "best": first, "ratings": rated}


def votes(judgment: dict[str, Any], which: str, answers: int) -> list[int]:
    """What a judgment says of each of so many answers: +1 good, −1 bad, 0 neither.

    Where it compares no answers it says so outright: the only answer, ranked first, is good, and
    *all bad* are bad. Where ratings are asked for, those that were given decide.
    """
    if which == "ratings" and any(rating is not None for rating in judgment.get("ratings") or []):
        return rated(judgment)
    if judgment.get("outcome") == "all_bad":
        return [-1] * answers
    return [1] if judgment["ranks"] == [1] else VOTES[which](judgment)


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


def labels(row: dict[str, Any], which: str) -> dict[str, bool]:
    """The distinct texts of a row that most of its judgments find good (True) or bad, judgments
    counting by weight; see votes().

    Texts with as much weight for them as against them are left out; sums are rounded to nine
    decimals, so that equal ones are equal whatever the order of adding.
    """
    balance: dict[str, float] = {}
    for judgment in row["judgments"]:
        weight = judgment.get("weight", 1.0)
        for answer, vote in zip(row["answers"], votes(judgment, which, len(row["answers"]))):
            balance[answer["text"]] = balance.get(answer["text"], 0.0) + weight * vote
    return {text: vote > 0 for text, vote in balance.items() if round(vote, 9)}


# Splits


def split_of(key: str) -> str:
    """The split where none is given, by the sha256 of `key`: 80 % train, 10 % each held-out one.

    `key` is the author, so that all prompts of one fall together; without an author the digest of
    the conversation, in hexadecimal. Nothing is salted: a key has one split in all installations.
    """
    tenth = int(hashlib.sha256(key.encode()).hexdigest(), 16) % 10
    return "train" if tenth < 8 else HELD_OUT[tenth - 8]
