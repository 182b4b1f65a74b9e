"""How far judges agree: pure functions over rows, no database."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from itertools import combinations
from typing import Any


def pair_agreement(first: Sequence[int], second: Sequence[int]) -> tuple[int, int]:
    """(agreed, compared) over the pairs of answers that both judges put in an order; a tie of
    either leaves a pair out.

    This is the inter-annotator agreement of Ouyang et al. 2022, section 3.4, over comparisons.
    """
    agreed = compared = 0
    for i, j in combinations(range(len(first)), 2):
        a, b = first[i] - first[j], second[i] - second[j]
        if a and b:
            compared += 1
            agreed += (a > 0) == (b > 0)
    return agreed, compared


def task_agreement(rankings: Iterable[Sequence[int]]) -> tuple[int, int]:
    """(agreed, compared) summed over all pairs of judges of one task."""
    totals = [
        pair_agreement(a, b) for a, b in combinations([ranks for ranks in rankings if ranks], 2)
    ]
    return sum(agreed for agreed, _ in totals), sum(compared for _, compared in totals)


def by_prompt(counted: Iterable[tuple[Hashable, tuple[int, int]]]) -> list[tuple[int, int]]:
    """(agreed, compared) of each prompt, summed over its tasks, where anything was compared.

    `counted` holds (prompt, (agreed, compared)). An interval draws prompts: two tasks of one prompt
    are no more independent than two pairs of it.
    """
    summed: dict[Hashable, tuple[int, int]] = {}
    for prompt, (agreed, compared) in counted:
        before = summed.get(prompt, (0, 0))
        summed[prompt] = before[0] + agreed, before[1] + compared
    return [(agreed, compared) for agreed, compared in summed.values() if compared]


def by_judge(
    tasks: Iterable[tuple[Hashable, dict[Hashable, Sequence[int]]]],
) -> dict[Hashable, list[tuple[int, int]]]:
    """Of each judge (agreed, compared) with every other one on the same task, by prompt.

    `tasks` holds (prompt, {judge: ranks}). A pair counts once for each other judge who ordered it.
    """
    counted: dict[Hashable, list[tuple[Hashable, tuple[int, int]]]] = defaultdict(list)
    for prompt, ranks in tasks:
        for first, second in combinations([judge for judge in ranks if ranks[judge]], 2):
            both = prompt, pair_agreement(ranks[first], ranks[second])
            counted[first].append(both)
            counted[second].append(both)
    return {judge: by_prompt(counts) for judge, counts in counted.items()}


def value_agreement(values: Sequence[Hashable]) -> tuple[int, int]:
    """(agreed, compared) over the pairs of judges who gave one thing a value each."""
    counts = Counter(values)
    return sum(math.comb(n, 2) for n in counts.values()), math.comb(len(values), 2)


def alpha(units: Iterable[Sequence[Any]], numbers: bool) -> float | None:
    """Krippendorff's alpha of the values that judges gave to each unit: 1 is full agreement, 0 what
    chance would give. Of `numbers` the squared difference counts, else whether two are the same.

    Krippendorff 2011, Computing Krippendorff's Alpha-Reliability. None where nobody can be compared
    or all values are one.
    """
    pairable = [Counter(values) for values in units if len(values) > 1]
    everything: Counter[Any] = Counter()
    for counts in pairable:
        everything.update(counts)
    total = everything.total()
    expected = _disagreement(everything, numbers) / (total - 1) if total else 0
    if not expected:
        return None
    observed = sum(_disagreement(counts, numbers) / (counts.total() - 1) for counts in pairable)
    return 1 - observed / expected


def _disagreement(counts: Counter[Any], numbers: bool) -> float:
    """The differences of all ordered pairs of these values, summed."""
    if not numbers:
        return counts.total() ** 2 - sum(n * n for n in counts.values())
    square = sum(n * value * value for value, n in counts.items())
    plain = sum(n * value for value, n in counts.items())
    return float(2 * (counts.total() * square - plain * plain))


def share_of_ties(ranked: Iterable[Sequence[int]]) -> float | None:
    """Percent of the pairs of answers that were put on one step."""
    tied = pairs = 0
    for ranks in ranked:
        pairs += math.comb(len(ranks), 2)
        tied += sum(math.comb(ranks.count(rank), 2) for rank in set(ranks))
    return 100 * tied / pairs if pairs else None
