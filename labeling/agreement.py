"""How far judges agree, and with what uncertainty: pure functions over rows, no database."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations


def pair_agreement(first: Sequence[int], second: Sequence[int]) -> tuple[int, int]:
    """(agreed, compared) over the pairs of answers that both judges put in an order; a tie of either leaves a pair out.

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
    totals = [pair_agreement(a, b) for a, b in combinations([ranks for ranks in rankings if ranks], 2)]
    return sum(agreed for agreed, _ in totals), sum(compared for _, compared in totals)


def ratio(counts: Sequence[tuple[float, float]]) -> float:
    """Hits over trials, each summed over the groups; nan without any trial."""
    trials = sum(n for _, n in counts)
    return sum(hits for hits, _ in counts) / trials if trials else float("nan")


def interval(
    groups: Sequence, statistic: Callable[[Sequence], float] = ratio, *, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of `statistic`, resampling whole groups (prompts), not their pairs.

    Efron and Tibshirani 1993, section 13.3. Pairs of one prompt are not independent; prompts are.
    """
    if not groups:
        return float("nan"), float("nan")
    rng = random.Random(seed)
    values = sorted(statistic(rng.choices(groups, k=len(groups))) for _ in range(draws))
    return values[int(0.025 * draws)], values[int(0.975 * draws) - 1]
