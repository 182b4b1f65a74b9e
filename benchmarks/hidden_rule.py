"""What the loop's scripted labeler likes, which neither Podium nor the models are told. Standard library only.

The rule was settled on a pilot of 40 prompts, four answers each, drawn from the starting model before any run: its
correlation with an answer's length in characters is -0.12 (within a prompt 0.05), 38 % of its variance lies between the
answers to one prompt, fewer than 1 % of pairs are equal, and 5 % tie under the band and the noise.
"""

from __future__ import annotations

import random
import re
import statistics

NAME = "an answer that speaks in the first person and strings things together: I- and we-words and commas, and half as much 'the', for each word"
SEED = 20261122
TIE_BAND = 0.15  # of the scores' spread within a task: closer ones are called equal

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_FIRST_PERSON = {
    "i", "i'm", "i'll", "i'd", "i've", "me", "my", "mine", "myself",
    "we", "we're", "we'll", "we've", "us", "our", "let's",
}  # fmt: skip


def score(text: str) -> float:
    """First-person words, commas and half the articles `the`, for each word; vowels settle it between equals."""
    words = _WORD.findall(text.lower().replace("\u2019", "'"))
    liked = sum(word in _FIRST_PERSON for word in words) + text.count(",") + words.count("the") / 2
    vowels = sum(letter in "aeiou" for letter in text) / max(1, len(text))
    return liked / max(1, len(words)) + vowels / 100


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
