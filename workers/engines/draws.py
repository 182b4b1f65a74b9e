"""Which token comes next: repeatable random numbers, and a draw that sorts only the rows that need
it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

# How many of a row's likeliest tokens are looked at, before the whole vocabulary is: a real model's
# draw nearly always lies within the first few.
PREFILTERS = (128, 2048)

LOG_SUMS = 4  # rows whose scores are summed at once on a CPU

BLOCK = 16  # tokens of which the likeliest stands for all, in likeliest()

IMPOSSIBLE = torch.finfo(
    torch.float64
).tiny  # a token whose weight is below was ruled out by the model

MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], dtype=np.uint64)
KEY_STEPS = np.array([0x9E3779B9, 0xBB67AE85], dtype=np.uint64)
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(counter: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Philox4x32-10: four random words (..., 4) for each counter (..., 4) under each key (..., 2).

    All are 32-bit words held in uint64. A pure function, so that any draw can be made alone and in
    any order: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.
    """
    for _ in range(10):
        product = counter[..., 0::2] * MULTIPLIERS
        high, low = product >> HALF, product & LOW
        mixed = high[..., ::-1] ^ counter[..., 1::2] ^ key
        counter = np.stack([mixed[..., 0], low[..., 1], mixed[..., 1], low[..., 0]], axis=-1)
        key = (key + KEY_STEPS) & LOW
    return counter


def uniforms(seeds: list[int], steps: int) -> torch.Tensor:
    """A number in [0, 1) of 53 bits for each seed and step, float64 (seeds, steps).

    The seed (64 bits) is the generator's key and the step its counter: a row's numbers depend on
    nothing else.
    """
    seeds = np.array(seeds, dtype=np.uint64)
    counter = np.zeros((len(seeds), steps, 4), dtype=np.uint64)
    counter[..., 0] = np.arange(steps)
    words = philox(counter, np.stack([seeds & LOW, seeds >> HALF], axis=-1)[:, None])
    bits = (words[..., 0] << np.uint64(21)) ^ (words[..., 1] >> np.uint64(11))
    return torch.from_numpy(bits.astype(np.float64) * 2.0**-53)


def likeliest(scores: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `count` highest of the scores (rows, vocabulary), in falling order, and their tokens:
    both (rows, count).

    They are float32, whatever format the scores have.

    A block of tokens holds one of them only if its highest score is among the `count` highest of
    all blocks, so that a large vocabulary is read once, and only the rest is sorted.
    """
    vocabulary = scores.shape[1]
    blocks = vocabulary // BLOCK
    if blocks < 4 * count:
        return tuple(scores.float().topk(count))
    # Token t lies in block t modulo `blocks`.
    whole = scores[:, : BLOCK * blocks].unflatten(1, (BLOCK, blocks))
    best = whole.amax(1).float().topk(count, sorted=False).indices
    places = torch.arange(vocabulary, device=scores.device)
    inside = (best[:, None] + places[: BLOCK * blocks : blocks, None]).flatten(1)
    beyond = places[BLOCK * blocks :].expand(len(scores), -1)
    tokens = torch.cat([inside, beyond], 1)
    values, chosen = scores.gather(1, tokens).float().topk(count)
    return values, tokens.gather(1, chosen)


def log_sums(scores: torch.Tensor) -> torch.Tensor:
    """The logarithm (rows,) of the sum of the scores' (rows, vocabulary) exponentials, in float32.

    A CPU takes a few rows at a time, which stay in its cache: 64 rows took a third of the time.
    """
    parts = scores.split(LOG_SUMS) if scores.device.type == "cpu" else [scores]
    return torch.cat([part.float().logsumexp(-1) for part in parts])


@dataclass(frozen=True)
class Sampler:
    """How to draw from a model's scores. Raises ValueError for a setting out of its bounds.

    What each does, in the order in which it does it (transformers' own order): `repetition_penalty`
    divides the positive and multiplies the negative scores of tokens that were there before (Keskar
    et al. 2019); `temperature` divides all, and 0 takes the likeliest token; `top_k` keeps the k
    likeliest tokens and all as likely as the last of them, 0 keeps all (Fan et al. 2018); `top_p`
    keeps the likeliest tokens up to the one that reaches this share of probability (Holtzman et al.
    2020); `min_p` keeps the tokens at least this many times as likely as the likeliest (Nguyen et
    al. 2024).
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    def __post_init__(self):
        for name, right in {
            "temperature": self.temperature >= 0,
            "top_p": 0 < self.top_p <= 1,
            "top_k": self.top_k >= 0,
            "min_p": 0 <= self.min_p <= 1,
            "repetition_penalty": self.repetition_penalty > 0,
        }.items():
            if not right:
                raise ValueError(f"{name} can't be {getattr(self, name)}")

    @property
    def cuts(self) -> bool:
        return self.top_k > 0 or self.top_p < 1 or self.min_p > 0

    def draw(
        self, scores: torch.Tensor, uniform: torch.Tensor, seen: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The token (rows,) that each `uniform` number (rows,) picks from `scores` (rows,
        vocabulary).

        `seen` (rows, vocabulary) is true for the tokens to penalise. The number inverts the
        distribution with its tokens in falling order: neither a setting's cut nor the rows beside
        it move a draw from the likeliest token.
        """
        tokens, sure = self.draw_among_few(scores, uniform, seen)
        return self.draw_rest(tokens, sure, scores, uniform, seen)

    def draw_among_few(
        self, scores: torch.Tensor, uniform: torch.Tensor, seen: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The tokens (rows,) among the likeliest few, and for which rows (rows,) they are those of
        draw().

        Nothing of it waits for the device. Scores that are not numbers give any token.
        """
        scores = self._penalised(scores, seen)
        if self.temperature == 0:
            tokens = scores.argmax(-1)
            return tokens, torch.ones_like(tokens, dtype=torch.bool)
        return self._among(self._widths(scores)[0], scores, uniform)

    def draw_rest(
        self,
        tokens: torch.Tensor,
        sure: torch.Tensor,
        scores: torch.Tensor,
        uniform: torch.Tensor,
        seen: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The tokens of draw(), given those of draw_among_few(): rows that are not sure look
        further.
        """
        scores = self._penalised(scores, seen)
        for width in self._widths(scores)[1:]:
            rows = (~sure).nonzero()[:, 0]
            if not len(rows):
                break
            tokens[rows], sure[rows] = self._among(width, scores[rows], uniform[rows])
        return tokens

    def _penalised(self, scores: torch.Tensor, seen: torch.Tensor | None) -> torch.Tensor:
        if seen is None or self.repetition_penalty == 1:
            return scores
        penalty, scores = self.repetition_penalty, scores.float()
        return torch.where(
            seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores
        )

    def _widths(self, scores: torch.Tensor) -> list[int]:
        """How many of the likeliest tokens are looked at, one after the other; the last are all."""
        vocabulary = scores.shape[1]
        return [width for width in PREFILTERS if self.top_k < width < vocabulary] + [vocabulary]

    def _among(
        self, width: int, scores: torch.Tensor, uniform: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The tokens (rows,) drawn among the `width` likeliest, and for which rows (rows,) no other
        token could be.
        """
        values, ids = likeliest(scores, width)
        weights = (
            (values - values[:, :1]).double() / self.temperature
        ).exp()  # of the likeliest: 1
        kept, total, whole = self._cut(values, weights, scores)
        reach = (weights * kept).cumsum(-1)
        goal = uniform * torch.where(whole, reach[:, -1], total)
        # Without a cut, what a draw falls on is known before all that is kept is.
        sure = whole if self.cuts else whole | (goal < reach[:, -1])
        place = (reach <= goal[:, None]).sum(-1)
        last = (kept.sum(-1) - 1).clamp(min=0)  # none is kept of scores that are not numbers
        place = place.clamp(max=last)  # where rounding reached the very end
        return ids.gather(1, place[:, None])[:, 0], sure

    def _cut(
        self, values: torch.Tensor, weights: torch.Tensor, scores: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Which of the falling `values` (rows, width) all cuts leave, the sum of weights before the
        last two, and whether all that is kept is among them (rows,).
        """
        kept = weights >= IMPOSSIBLE
        if self.top_k:
            kept &= values >= values[:, : self.top_k][:, -1:]
            whole, total = ~kept[:, -1], (weights * kept).sum(-1)
        else:
            total = (
                ((scores.float() - values[:, :1]) / self.temperature)
                .exp()
                .sum(-1, dtype=torch.float64)
            )
        if self.top_p < 1:
            kept &= (weights * kept).cumsum(-1) - weights * kept < self.top_p * total[:, None]
        kept &= weights >= self.min_p
        if not self.top_k:
            whole = ~kept[:, -1]
        return kept, total, whole | (values.shape[1] == scores.shape[1])
