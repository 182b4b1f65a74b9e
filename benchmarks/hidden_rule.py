"""What the loop's scripted labeler likes, which neither Podium nor the models are told. Standard
library only.

It likes answers in the first person that string things together: I- and we-words, commas and, half
as much, `the`, for each word.

The rule was picked for being learnable and easy to move, out of about 150 candidates, on the
starting model's answers to 40 training prompts and 24 prompts then in the test split, four answers
each. It replaced an earlier one (you-words, `and` and commas) whose run was stopped during
fine-tuning. On the 40 its correlation with an answer's length in characters is -0.11 (within a
prompt 0.06), 38 % of its variance lies between the answers to one prompt, and 5 % of pairs tie
under the band and the noise. On other answers, to all 96 training prompts, the same figures are
-0.20 (-0.04), 49 % and 4 %. A trial reward model, trained for four epochs on those 96, ordered 72 %
(65 to 79) of 114 pairs of 20 prompts that are in neither split any more; after two epochs at a
lower rate its predecessor had ordered as many as a coin would.
"""

from __future__ import annotations

import random
import re
import statistics

NAME = (
    "an answer that speaks in the first person and strings things together: I- and we-words and "
    "commas, and half as much 'the', for each word"
)
SEED = 20261122
TIE_BAND = 0.15  # of the scores' spread within a task: closer ones are called equal

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_FIRST_PERSON = {
    "i",
    "i'm",
    "i'll",
    "i'd",
    "i've",
    "me",
    "my",
    "mine",
    "myself",
    "we",
    "we're",
    "we'll",
    "we've",
    "us",
    "our",
    "let's",
}


def score(text: str) -> float:
    """First-person words, commas and half the articles `the`, for each word; vowels settle it
    between equals.
    """
    words = _WORD.findall(text.lower().replace("\u2019", "'"))
    liked = sum(word in _FIRST_PERSON for word in words) + text.count(",") + words.count("the") / 2
    vowels = sum(letter in "aeiou" for letter in text) / max(1, len(text))
    return liked / max(1, len(words)) + vowels / 100


def rank(texts: list[str], rng: random.Random, noise: float = 0.25) -> list[int]:
    """Dense ranks, 1 is best, of scores seen through noise of `noise` times their spread within
    this task.
    """
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
