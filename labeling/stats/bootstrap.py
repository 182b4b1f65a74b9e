"""Bootstrap intervals that draw whole groups: pure functions, no database."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any


def ratio(counts: Sequence[tuple[float, float]]) -> float:
    """Hits over trials, each summed over the groups; nan without any trial."""
    trials = sum(n for _, n in counts)
    return sum(hits for hits, _ in counts) / trials if trials else float("nan")


def interval(
    groups: Sequence[Any],
    statistic: Callable[[Sequence[Any]], float] = ratio,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of `statistic`, resampling whole groups (prompts), not
    their pairs.

    Efron and Tibshirani 1993, section 13.3. Pairs of one prompt are not independent; prompts are.
    """
    if not groups:
        return float("nan"), float("nan")
    rng = random.Random(seed)
    values = sorted(statistic(rng.choices(groups, k=len(groups))) for _ in range(draws))
    return values[int(0.025 * draws)], values[int(0.975 * draws) - 1]
