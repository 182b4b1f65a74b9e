"""The examples that a frozen row makes: pairs, single answers with a label, whole rankings. Pure
functions.

A judgments row makes them of every labeler's judgment, or of the consensus: the order of the
answers' mean ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labeling.stats.agreement import task_agreement
from modelops import rows


@dataclass(frozen=True)
class View:
    """What is made of the rows: which pairs, of whose judgments, with what beside them."""

    pairs: str = "all"
    judged: str = "each"
    metadata: bool = False


def judgments(row: dict, view: View) -> list[dict]:
    """Those that examples are made of."""
    return row["judgments"] if view.judged == "each" else consensus(row)


def consensus(row: dict) -> list[dict]:
    """One judgment in place of all: ranks by the weighted mean, and the weight that stands behind
    it.
    """
    means = rows.mean_ranks(row)
    if not means:
        return []
    ranked = [judgment for judgment in row["judgments"] if judgment["ranks"]]
    weight = sum(judgment["weight"] for judgment in ranked)
    answers = range(len(row["answers"]))
    nothing: list = [None for _ in answers]
    return [
        {
            "labeler": None,
            "kind": "consensus",
            "outcome": "ranked",
            "ranks": rows.dense(means),
            "ratings": nothing,
            "flags": [[] for _ in answers],
            "strength": None,
            "weight": weight,
            "seconds": round(sum(judgment["seconds"] for judgment in ranked), 1),
        }
    ]


def pairs(row: dict, view: View) -> Iterator[tuple[int, int, dict]]:
    """(winner, loser, judgment); ties make none."""
    for judgment in judgments(row, view):
        for winner, loser in rows.pairs(judgment["ranks"], view.pairs):
            yield winner, loser, judgment


def labelled(row: dict, view: View) -> Iterator[tuple[int, bool, dict]]:
    """(answer, whether it is good, judgment): those ranked first are, those ranked last are not,
    the rest is left out.

    Where all are bad, all are, and a lone answer that is ranked is good; where several are all
    tied, none is either. The consensus is that all are bad where more weight says so than ranks
    them.
    """
    for judgment in _verdicts(row, view):
        ranks = judgment["ranks"] or [2 for _ in row["answers"] if judgment["outcome"] == "all_bad"]
        last = max(ranks, default=1)
        for position, rank in enumerate(ranks):
            if (last > 1 or len(ranks) == 1) and rank in (1, last):
                yield position, rank == 1, judgment


def _verdicts(row: dict, view: View) -> list[dict]:
    """The judgments that examples are made of, also where the consensus is that all are bad."""
    made = judgments(row, view)
    if view.judged == "each":
        return made
    bad = [judgment for judgment in row["judgments"] if judgment["outcome"] == "all_bad"]
    weight = sum(judgment["weight"] for judgment in bad)
    if weight <= sum(judgment["weight"] for judgment in made):
        return made
    nothing = {
        "labeler": None,
        "kind": "consensus",
        "outcome": "all_bad",
        "ranks": [],
        "strength": None,
    }
    seconds = round(sum(judgment["seconds"] for judgment in bad), 1)
    of_each = {"ratings": [None for _ in row["answers"]], "flags": [[] for _ in row["answers"]]}
    return [nothing | of_each | {"weight": weight, "seconds": seconds}]


def beside(row: dict, judgment: dict | None, dataset: str) -> dict:
    """The metadata of an example that is asked for: of the row, and of the judgment that it was
    made of.
    """
    said = row.get("judgments", ())
    about = {"dataset": dataset, "prompt_id": row["prompt_id"], "split": row["split"]}
    about |= {name: row[name] for name in ("use_case", "language") if name in row}
    if said:
        agreed, compared = task_agreement(one["ranks"] for one in said)
        about["agreement"] = round(agreed / compared, 4) if compared else None
    if judgment:
        about |= {
            name: judgment[name] for name in ("labeler", "kind", "seconds", "strength", "weight")
        }
    return about


def of_answer(row: dict, judgment: dict, position: int, name: str) -> dict:
    """The metadata of one answer of an example, under names that begin with `name`."""
    return {
        f"{name}_model": row["answers"][position]["model"],
        f"{name}_rank": judgment["ranks"][position] if judgment["ranks"] else None,
        f"{name}_rating": judgment["ratings"][position],
        f"{name}_flags": judgment["flags"][position],
    }
