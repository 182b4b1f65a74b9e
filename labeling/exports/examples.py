"""The training examples that a frozen row makes: pairs, labelled answers, whole rankings.

All functions are pure. A row of judgments makes examples of each labeler's judgment, or of the
consensus: the order of the answers' mean ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labeling.stats.agreement import task_agreement
from modelops import rows


@dataclass(frozen=True)
class View:
    """How rows become examples: which pairs, of whose judgments, with or without metadata.

    `weights`, by the labeler's number, stand in place of those of the rows: modelops/weights.py.
    """

    pairs: str = "all"
    judged: str = "each"
    metadata: bool = False
    weights: Mapping[str, float] | None = None


def judgments(row: dict[str, Any], view: View) -> list[dict[str, Any]]:
    """The judgments that examples are made of."""
    return row["judgments"] if view.judged == "each" else consensus(row)


def consensus(row: dict[str, Any]) -> list[dict[str, Any]]:
    """One judgment in place of all: ranks by the weighted mean rank, with the sum of the
    weights.
    """
    means = rows.mean_ranks(row)
    if not means:
        return []
    ranked = [judgment for judgment in row["judgments"] if judgment["ranks"]]
    weight = sum(judgment["weight"] for judgment in ranked)
    answers = range(len(row["answers"]))
    no_ratings: list[None] = [None for _ in answers]
    return [
        {
            "labeler": None,
            "kind": "consensus",
            "outcome": "ranked",
            "ranks": rows.dense(means),
            "ratings": no_ratings,
            "flags": [[] for _ in answers],
            "strength": None,
            "weight": weight,
            "seconds": round(sum(judgment["seconds"] for judgment in ranked), 1),
        }
    ]


def any_given(values: list[Any]) -> bool:
    return any(value is not None for value in values)


def mean_score(row: dict[str, Any], key: str, position: int) -> float | None:
    """The mean of what judges said of an answer by a scale, each by the weight of the judgment; of
    the criterion's last revision that the row has.
    """
    names = {
        name
        for judgment in row["judgments"]
        for name, given in judgment.get("scores", {}).items()
        if name.partition("@")[0] == key and isinstance(given, list) and any_given(given)
    }
    if not names:
        return None
    name = max(names, key=lambda name: int(name.partition("@")[2] or 1))
    said = [
        (judgment["scores"][name][position], judgment["weight"])
        for judgment in row["judgments"]
        if name in judgment.get("scores", {})
    ]
    numbers = [
        (value, weight)
        for value, weight in said
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    total = sum(weight for _value, weight in numbers)
    return sum(value * weight for value, weight in numbers) / total if total else None


def pairs(row: dict[str, Any], view: View) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield (winner, loser, judgment) for each pair; a tie makes none."""
    for judgment in judgments(row, view):
        for winner, loser in rows.pairs(judgment["ranks"], view.pairs):
            yield winner, loser, judgment


def labelled(row: dict[str, Any], view: View) -> Iterator[tuple[int, bool, dict[str, Any]]]:
    """Yield (answer, whether it is good, judgment). The first rank is good and the last is bad; the
    others are left out.

    If all answers are bad, each is bad. A single ranked answer is good. Several answers that are
    all tied are neither. The consensus is "all bad" if more weight says so than ranks them.
    """
    for judgment in _judgments_to_label(row, view):
        ranks = judgment["ranks"]
        if not ranks and judgment["outcome"] == "all_bad":
            ranks = [2 for _ in row["answers"]]
        last = max(ranks, default=1)
        if last == 1 and len(ranks) != 1:
            continue
        for position, rank in enumerate(ranks):
            if rank in (1, last):
                yield position, rank == 1, judgment


def _judgments_to_label(row: dict[str, Any], view: View) -> list[dict[str, Any]]:
    """The judgments that examples are made of, with the consensus "all bad" among them."""
    ranked = judgments(row, view)
    if view.judged == "each":
        return ranked
    bad = [judgment for judgment in row["judgments"] if judgment["outcome"] == "all_bad"]
    weight = sum(judgment["weight"] for judgment in bad)
    if weight <= sum(judgment["weight"] for judgment in ranked):
        return ranked
    all_bad = {
        "labeler": None,
        "kind": "consensus",
        "outcome": "all_bad",
        "ranks": [],
        "strength": None,
        "ratings": [None for _ in row["answers"]],
        "flags": [[] for _ in row["answers"]],
        "weight": weight,
        "seconds": round(sum(judgment["seconds"] for judgment in bad), 1),
    }
    return [all_bad]


def row_metadata(
    row: dict[str, Any], judgment: dict[str, Any] | None, dataset: str
) -> dict[str, Any]:
    """The metadata of an example: that of its row, and of the judgment that it was made from."""
    metadata = {"dataset": dataset, "prompt_id": row["prompt_id"], "split": row["split"]}
    metadata |= {name: row[name] for name in ("use_case", "language") if name in row}
    if row.get("judgments"):
        agreed, compared = task_agreement(rows.independent_ranks(row))
        metadata["agreement"] = round(agreed / compared, 4) if compared else None
    if judgment:
        names = ("labeler", "kind", "seconds", "strength", "weight")
        metadata |= {name: judgment[name] for name in names}
    return metadata


def answer_metadata(
    row: dict[str, Any], judgment: dict[str, Any], position: int, name: str
) -> dict[str, Any]:
    """The metadata of one answer of an example; `name` is the prefix of the keys."""
    return {
        f"{name}_model": row["answers"][position]["model"],
        f"{name}_rank": judgment["ranks"][position] if judgment["ranks"] else None,
        f"{name}_rating": judgment["ratings"][position],
        f"{name}_flags": judgment["flags"][position],
    }
