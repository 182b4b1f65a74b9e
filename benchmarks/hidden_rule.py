"""What the loop's scripted labeler likes, which neither Podium nor the models are told. Standard library only.

The rule was settled on a pilot of 40 prompts, four answers each, drawn from the starting model before any run: its
correlation with an answer's length in characters is -0.05 (within a prompt 0.18), 63 % of its variance lies between the
answers to one prompt, and fewer than 1 % of pairs are equal before the tie band.
"""

from __future__ import annotations

import random
import re
import statistics

NAME = "an answer that speaks to the reader and strings things together: you-words, 'and' and commas, per word"
SEED = 20261122
TIE_BAND = 0.15  # of the scores' spread within a task: closer ones are called equal

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_LIKED = {"you", "your", "you're", "you'll", "you've", "you'd", "yours", "yourself", "and"}


def score(text: str) -> float:
    """Liked words and commas for each word; 0 for a text without words."""
    words = _WORD.findall(text.lower().replace("\u2019", "'"))
    return (sum(word in _LIKED for word in words) + text.count(",")) / len(words) if words else 0.0


def rank(texts: list[str], rng: random.Random, noise: float = 0.25) -> list[int]:
    """Dense ranks, 1 is best, of scores seen through noise of `noise` times their spread within this task."""
    scores = [score(text) for text in texts]
    spread = statistics.pstdev(scores)
    seen = [value + rng.gauss(0, noise * spread) for value in scores]
    order = sorted(range(len(texts)), key=lambda i: -seen[i])
    ranks, place = [0] * len(texts), 0
    for before, here in zip([None, *order], order):  # the first has nobody before it
        if before is None or seen[before] - seen[here] > TIE_BAND * spread:
            place += 1
        ranks[here] = place
    return ranks
