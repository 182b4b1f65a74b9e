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
        if key[i] != key[j] and None not in (ranks[i], ranks[j]):
            compared += 1
            agreed += 0.5 if ranks[i] == ranks[j] else (ranks[i] < ranks[j]) == (key[i] < key[j])
    return agreed, compared


def by_labeler(said: Iterable[tuple[int, int | None, int, int | None]]) -> dict[int, Gold]:
    """Each labeler's figures from all that is said of gold tasks: (task, labeler, answer, rank); a
    key has no labeler.
    """
    tasks: dict[int, dict[int | None, Ranks]] = defaultdict(lambda: defaultdict(dict))
    for task, labeler, answer, rank in said:
        tasks[task][labeler][answer] = rank
    found: dict[int, Gold] = defaultdict(Gold)
    for sheets in tasks.values():
        key = sheets.pop(None, {})
        for labeler, ranks in sheets.items():
            found[labeler].add(key, ranks)
    return dict(found)
