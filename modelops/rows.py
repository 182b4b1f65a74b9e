"""The frozen rows of datasets and their views. Standard library only, so that trainers and exports share it.

A row of a judgments dataset is one ranking task, listwise:

    prompt_id, messages, split, use_case, language,
    answers   [{id, text, model, finish_reason, tokens}]          an answer's id is its position
    judgments [{labeler, kind, outcome, ranks, ratings, flags, strength, seconds, weight}]   ranks[i] is of answers[i]

Ranks are dense, 1 is best, equal ranks are a tie; `ranks` is empty where nothing was ranked (all bad, cannot judge).
An answer may carry the `score` that a reward model gave it. A row of a text dataset is {text, split}.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HELD_OUT = ("validation", "test")


def canonical(value: Any) -> str:
    """`value` as the one JSON line that stands for it: sorted keys, no spaces, no escapes, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """sha256 of the canonical line, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def read(folder: str | Path, name: str = "rows.jsonl") -> Iterator[dict]:
    """The rows of a frozen dataset's folder, one at a time."""
    with open(Path(folder) / name, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def dense(ranks: Iterable[int]) -> list[int]:
    """Ranks with the gaps closed: [1, 3, 3, 7] becomes [1, 2, 2, 3]."""
    ranks = list(ranks)
    order = {rank: place for place, rank in enumerate(sorted(set(ranks)), start=1)}
    return [order[rank] for rank in ranks]


def pairs(ranks: list[int], which: str = "all") -> list[tuple[int, int]]:
    """(winner, loser) positions that one ranking implies; ties make none.

    `which`: "all" pairs of unequal rank, "adjacent" only pairs of neighbouring ranks, "best" only those that a
    first-ranked answer wins.
    """
    keep = {
        "all": lambda win, lose: win < lose,
        "adjacent": lambda win, lose: lose - win == 1,
        "best": lambda win, lose: win == 1 and lose > 1,
    }[which]
    count = range(len(ranks))
    return [(i, j) for i in count for j in count if i != j and keep(ranks[i], ranks[j])]


def row_pairs(row: dict, which: str = "all") -> list[tuple[int, int]]:
    """All judgments' pairs of a row, with repeats where labelers agree."""
    return [pair for judgment in row["judgments"] for pair in pairs(judgment["ranks"], which)]


def mean_ranks(row: dict) -> list[float]:
    """Each answer's mean rank over the judgments; empty where nothing was ranked."""
    ranked = [judgment["ranks"] for judgment in row["judgments"] if judgment["ranks"]]
    if not ranked:
        return []
    return [sum(ranks[i] for ranks in ranked) / len(ranked) for i in range(len(row["answers"]))]


def best(row: dict) -> int | None:
    """Position of the answer with the smallest mean rank over the judgments, the first of equals; None without any."""
    means = mean_ranks(row)
    return means.index(min(means)) if means else None


def text_row(text: str) -> dict:
    """A row of a text dataset. Its split is that of its content, as for a prompt without an author: 80/10/10."""
    return {"text": text, "split": split_of(hashlib.sha256(text.encode()).hexdigest())}


def split_of(key: str) -> str:
    """The split that a sha256 in hexadecimal falls into: 80 % train, 10 % validation, 10 % test."""
    place = int(key[:8], 16) % 10
    return "train" if place < 8 else HELD_OUT[place - 8]
