"""How well each person judges: pure functions over rows, no database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

Ranks = dict[int, int | None]  # of answers; None where nothing was ranked


@dataclass
class Gold:
    """One person's judgments of gold tasks, held against the answer keys."""

    judged: int = 0
    agreed: float = 0
    pairs: int = 0

    @property
    def agreement(self) -> float | None:
        return self.agreed / self.pairs if self.pairs else None

    def add(self, key: Ranks, ranks: Ranks) -> None:
        agreed, pairs = with_key(key, ranks)
        self.judged, self.agreed, self.pairs = (
            self.judged + 1,
            self.agreed + agreed,
            self.pairs + pairs,
        )


def with_key(key: Ranks, ranks: Ranks) -> tuple[float, int]:
    """(agreed, compared) over the pairs of answers that the key puts in an order: a tie agrees
    half, the reverse not.
    """
    agreed, compared = 0.0, 0
    for i, j in combinations(sorted(key), 2):
        expected, given = _order(key[i], key[j]), _order(ranks[i], ranks[j])
        if expected and given is not None:
            compared += 1
            agreed += 0.5 if given == 0 else given == expected
    return agreed, compared


def _order(first: int | None, second: int | None) -> int | None:
    """-1 where the first rank is the better one, 1 where it is the worse one, 0 for a tie; None
    where either is missing.
    """
    if first is None or second is None:
        return None
    return (first > second) - (first < second)


def by_labeler(ranked: Iterable[tuple[int, int | None, int, int | None]]) -> dict[int, Gold]:
    """Each labeler's figures from all ranks given in gold tasks: (task, labeler, answer, rank); a
    key has no labeler.
    """
    keys: dict[int, Ranks] = defaultdict(dict)
    judged: dict[tuple[int, int], Ranks] = defaultdict(dict)
    for task, labeler, answer, rank in ranked:
        ranks = keys[task] if labeler is None else judged[task, labeler]
        ranks[answer] = rank
    figures: dict[int, Gold] = defaultdict(Gold)
    for (task, labeler), ranks in judged.items():
        figures[labeler].add(keys.get(task, {}), ranks)
    return dict(figures)
