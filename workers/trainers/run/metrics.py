"""Final figures of a trainer, with intervals that resample prompts: pairs of one prompt are not
independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy

from modelops.rows import HELD_OUT

RESAMPLES = 2000
SLICES = {
    "held-out": HELD_OUT,
    "validation": ("validation",),
    "test": ("test",),
    "train": ("train",),
}


def picks(scores: Sequence[float], pairs: list[tuple[int, int]]) -> float:
    """How many (winner, loser) pairs of one prompt the scores order rightly; equal scores count one
    half.
    """
    return sum((scores[w] > scores[l]) + 0.5 * (scores[w] == scores[l]) for w, l in pairs)


def pair_loss(scores: Sequence[float], pairs: list[tuple[int, int]]) -> float:
    """Mean of −log σ(score of the winner − score of the loser) over one prompt's pairs."""
    return sum(_softplus(scores[l] - scores[w]) for w, l in pairs) / len(pairs)


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def share(
    name: str,
    slice: str,
    hits: Sequence[float],
    counts: Sequence[int],
    unit: str = "prompts",
) -> dict:
    """A metric: all prompts' hits over all their counts, with its 95 % interval; n is the sum of
    the counts.

    `unit` is what hits[i] and counts[i] belong to, and what is drawn: its method says so.
    """
    low, high = interval(hits, counts)
    return {
        "name": name,
        "value": sum(hits) / sum(counts),
        "low": low,
        "high": high,
        "n": int(sum(counts)),
        "slice": slice,
        "method": f"percentile bootstrap over {unit}, {RESAMPLES} draws",
    }


def interval(
    hits: Sequence[float], counts: Sequence[float], resamples: int = RESAMPLES
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of sum(hits) / sum(counts), drawing whole prompts with
    replacement.

    Efron and Tibshirani 1993, chapter 13. The draws have a fixed seed, so the same figures get the
    same interval.
    """
    hits, counts = numpy.asarray(hits, float), numpy.asarray(counts, float)
    random = numpy.random.default_rng(0)
    draws = (random.integers(0, len(hits), len(hits)) for _ in range(resamples))
    ratios = [hits[draw].sum() / counts[draw].sum() for draw in draws]
    low, high = numpy.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)


def plain(name: str, slice: str, value: float, n: int | None = None) -> dict:
    """A metric without an interval."""
    figure = {"name": name, "value": value, "low": None, "high": None, "n": n, "slice": slice}
    return figure | {"method": ""}


def sliced(splits: Sequence[str], values: Sequence) -> list[tuple[str, list]]:
    """(slice, the values whose split belongs to it) for each slice that has any; values[i] is of
    splits[i].
    """
    parts = {
        slice: [value for split, value in zip(splits, values) if split in members]
        for slice, members in SLICES.items()
    }
    return [(slice, part) for slice, part in parts.items() if part]
