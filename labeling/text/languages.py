"""Detect the languages of many texts together: py3langid's model, walked in step for all of them.

py3langid reads a text byte by byte in Python. Here each step takes the next byte of every text at
once. Sums are in another order than py3langid's, so that a probability differs in its last
digits: where that could matter, py3langid itself decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from itertools import islice

import numpy as np
from py3langid.langid import MODEL_FILE, LanguageIdentifier
from scipy import sparse

FEWEST_LETTERS = 20
SURE = 0.9
MARGIN = 0.01  # of the probability: many times what the order of float32 sums can change
READ = 400  # characters


def detect(texts: Sequence[str]) -> list[str]:
    """The ISO 639-1 code of each text; "" if it is too short or the model is not sure."""
    read = [place for place, text in enumerate(texts) if _has_letters(text)]
    codes = [""] * len(texts)
    if read:
        detected = _model().codes([texts[place][:READ] for place in read])
        for place, code in zip(read, detected, strict=True):
            codes[place] = code
    return codes


@cache
def _model() -> Model:
    return Model()


class Model:
    """py3langid's model, its tables as arrays."""

    def __init__(self):
        self.identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    @cached_property
    def next_state(self) -> np.ndarray:
        """(rows * 256,): the state after a byte."""
        return np.asarray(self.identifier.tk_nextmove)

    @cached_property
    def row_of(self) -> np.ndarray:
        """(states,): where a state's 256 following states begin."""
        return np.asarray(self.identifier.tk_row, dtype=np.int64) << 8

    @cached_property
    def feature_of(self) -> np.ndarray:
        """(states,): the feature that ends in a state, or -1."""
        return np.asarray(self.identifier.tk_output)

    def codes(self, texts: list[str]) -> list[str]:
        """The code of each text, or "", as LanguageIdentifier.classify() gives it."""
        probabilities = self._probabilities(texts)
        best = probabilities.argmax(axis=1)
        return [
            self._code(text, int(column), float(row[column]))
            for text, column, row in zip(texts, best, probabilities, strict=True)
        ]

    def _code(self, text: str, column: int, probability: float) -> str:
        code = self.identifier.nb_classes[column]
        if abs(probability - SURE) < MARGIN:
            code, probability = self.identifier.classify(text)
        return str(code) if probability >= SURE else ""

    def _probabilities(self, texts: list[str]) -> np.ndarray:
        """As LanguageIdentifier._decide() has it, of each text: (texts, classes)."""
        encoded = [self.identifier._encode(text) for text in texts]
        lengths = np.array([len(text) for text in encoded])
        scores = self._scores(encoded, lengths)
        scores *= (1.0 / np.sqrt(np.maximum(lengths, 1)))[:, None]
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        for first, other in self.identifier._alias_pairs:
            scores[:, first] += scores[:, other]
            scores[:, other] = 0
        return scores

    def _scores(self, encoded: list[bytes], lengths: np.ndarray) -> np.ndarray:
        """Naive Bayes: the logarithms of the counts of features by their weights, and the prior's
        logarithms; 0 for a text without features. (texts, classes).
        """
        texts, features = self._visits(encoded, lengths)
        weights = self.identifier.nb_ptc
        is_seen = np.zeros(len(weights), dtype=bool)
        is_seen[features] = True
        seen, columns = np.flatnonzero(is_seen), np.cumsum(is_seen)[features] - 1
        ones = np.ones(len(texts), dtype=np.float32)
        visits = sparse.csr_array((ones, (texts, columns)), shape=(len(encoded), len(seen)))
        visits.sum_duplicates()
        visits.data = np.log1p(visits.data)
        scores = visits @ weights[seen].astype(np.float32)
        scores += self.identifier.nb_pc
        scores[np.bincount(texts, minlength=len(encoded)) == 0] = 0
        return scores

    def _visits(self, encoded: list[bytes], lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The features that the texts' bytes end, and the text of each: two arrays, (visits,)."""
        longest_first = np.argsort(-lengths, kind="stable")
        letters = np.zeros((lengths.max(), len(encoded)), dtype=np.uint8)
        for column, text in enumerate(longest_first):
            letters[: lengths[text], column] = np.frombuffer(encoded[text], dtype=np.uint8)
        reaching = np.searchsorted(-lengths[longest_first], -np.arange(len(letters)), side="left")
        state = np.zeros(len(encoded), dtype=np.int64)
        features = np.full(letters.shape, -1, dtype=np.int32)
        for step, count in enumerate(reaching):
            state = self.next_state[self.row_of[state[:count]] + letters[step, :count]]
            features[step, :count] = self.feature_of[state]
        steps, columns = np.nonzero(features >= 0)
        return longest_first[columns], features[steps, columns]


def _has_letters(text: str) -> bool:
    letters = islice(filter(str.isalpha, text[:200]), FEWEST_LETTERS)
    return len(list(letters)) == FEWEST_LETTERS
