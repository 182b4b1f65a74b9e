"""Decoding many rows at once: a row that ends leaves the batch, and the next one in the queue takes
its place.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

import torch

from workers.engines.cache import closed_up
from workers.engines.decoders import Causal, Prefilled
from workers.engines.draws import Sampler, log_sums, uniforms

PREFILL = (
    4096  # tokens of prompts read together, padding counted: what bounds the memory of reading
)
# a batch is filled up when one in so many of its places is free: reading prompts one by one is slow
REFILL = 8


class BrokenModel(ArithmeticError):
    """A model gave scores that are not numbers."""


@dataclass
class Row:
    """One answer in the making: the caller's `number` for it, its prompt's token ids, its seed, and
    what was drawn.
    """

    number: int
    prompt: list[int]
    seed: int
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class Batch:
    """At most `size` rows in one decoder, each drawing at most `steps` tokens, until `ended` says
    of its ids that it has.
    """

    def __init__(
        self,
        decoder: Causal,
        sampler: Sampler,
        rows: list[Row],
        size: int,
        steps: int,
        ended: Callable[[list[int]], bool],
    ):
        self.decoder, self.sampler, self.size, self.steps, self.ended = (
            decoder,
            sampler,
            size,
            steps,
            ended,
        )
        # Rows of like length run together and are padded little; the longest first, so that memory
        # runs out at once or never; a prompt's rows beside each other, so that it is read once.
        self.waiting = deque(
            sorted(rows, key=lambda row: (-len(row.prompt), row.prompt, row.number))
        )
        self.prefilled: Prefilled | None = None
        self.ready: list[
            tuple[Row, int]
        ] = []  # rows without a place yet, and their prompts' places in `prefilled`
        self.rows: list[Row] = []
        self.logits = self.uniform = self.drawn = self.seen = None

    def run(self, tick: Callable[[], None]) -> Iterator[Row]:
        """Yield each row as it ends; `tick` is called before each step. Raises BrokenModel."""
        while self._refill():
            tick()
            drawn = self._draw()
            gone = {place for place, row in enumerate(self.rows) if self.ended(row.ids)}
            yield from [self.rows[place] for place in sorted(gone)]
            order = closed_up(len(self.rows), gone)
            self._keep(order)
            kept = drawn[order] if gone else drawn
            self.logits = self.decoder.step(kept) if order else None

    def _refill(self) -> bool:
        """Fill free places where that is due; whether any row runs."""
        free = self.size - len(self.rows)
        if not self.rows or (self.decoder.refills and free >= max(1, self.size // REFILL)):
            while (free := self.size - len(self.rows)) and (self.ready or self.waiting):
                if not self.ready:
                    self._prefill(free)
                placed, self.ready = self.ready[:free], self.ready[free:]
                self._place(placed)
        return bool(self.rows)

    def _prefill(self, free: int) -> None:
        """Read the prompts of the next `free` rows, or as many as may be read together; all their
        rows are ready then.
        """
        prompts: list[list[int]] = []
        while self.waiting and self._belongs(self.waiting[0].prompt, prompts, free):
            row = self.waiting.popleft()
            if not prompts or row.prompt != prompts[-1]:
                prompts.append(row.prompt)
            self.ready.append((row, len(prompts) - 1))
        self.prefilled = self.decoder.prefill(prompts)

    def _belongs(self, prompt: list[int], prompts: list[list[int]], free: int) -> bool:
        if not prompts or prompt == prompts[-1]:
            return True
        return len(self.ready) < free and (len(prompts) + 1) * len(prompts[0]) <= PREFILL

    def _place(self, placed: list[tuple[Row, int]]) -> None:
        rows, places = [row for row, _ in placed], [place for _, place in placed]
        logits = self.prefilled.logits[places]
        self.decoder.add(self.prefilled, places)
        self.logits = _joined(self.logits, logits)
        self.uniform = _joined(
            self.uniform, uniforms([row.seed for row in rows], self.steps).to(logits.device)
        )
        self.drawn = _joined(self.drawn, torch.zeros_like(logits[:, :1], dtype=torch.long))
        if self.sampler.repetition_penalty != 1:
            self.seen = _joined(self.seen, torch.stack([self._before(row, logits) for row in rows]))
        self.rows += rows

    def _before(self, row: Row, logits: torch.Tensor) -> torch.Tensor:
        """True for the tokens that stand before the row's answer (vocabulary,)."""
        seen = torch.zeros_like(logits[0], dtype=torch.bool)
        seen[[token for token in set(self.decoder.before(row.prompt)) if token < len(seen)]] = True
        return seen

    def _draw(self) -> torch.Tensor:
        """A token (rows,) for each row, written down with its log-probability under the model
        itself.
        """
        sums = log_sums(self.logits)
        uniform = self.uniform.gather(1, self.drawn)[:, 0]
        tokens, sure = self.sampler.draw_among_few(self.logits, uniform, self.seen)
        ids, all_sure, chosen = on_host(tokens, sure.all(), self._logprobs(tokens, sums))
        self._check(chosen)
        if not all_sure[0]:
            tokens = self.sampler.draw_rest(tokens, sure, self.logits, uniform, self.seen)
            ids, chosen = on_host(tokens, self._logprobs(tokens, sums))
        for row, token, logprob in zip(self.rows, ids, chosen):
            row.ids.append(int(token))
            row.logprobs.append(logprob)
        if self.seen is not None:
            self.seen.scatter_(1, tokens[:, None], True)
        self.drawn += 1
        return tokens

    def _logprobs(self, tokens: torch.Tensor, sums: torch.Tensor) -> torch.Tensor:
        """The log-probability (rows,) of a token (rows,) of each row.

        `sums` (rows,) are those of log_sums().
        """
        return self.logits.gather(1, tokens[:, None])[:, 0].float() - sums

    def _check(self, logprobs: list[float]) -> None:
        """Raise BrokenModel for a row without a log-probability: one score that is not a number
        spoils them all.
        """
        for row, logprob in zip(self.rows, logprobs):
            if not math.isfinite(logprob):
                raise BrokenModel(
                    f"the model's scores are not numbers, first after {len(row.ids)} tokens of "
                    f"answer {row.number + 1}: "
                    "its weights are damaged, or too large for its number format"
                )

    def _keep(self, order: list[int]) -> None:
        if len(order) < len(self.rows):
            self.decoder.keep(order)
            self.rows = [self.rows[place] for place in order]
            self.uniform, self.drawn = self.uniform[order], self.drawn[order]
            self.seen = None if self.seen is None else self.seen[order]


def on_host(*tensors: torch.Tensor) -> list[list[float]]:
    """The numbers of each tensor as a list: together, so that a device is waited for once.

    Token ids and float32 numbers are exact in the float64 that they travel in.
    """
    sizes = [tensor.numel() for tensor in tensors]
    numbers = torch.cat([tensor.flatten().double() for tensor in tensors]).tolist()
    ends = list(accumulate(sizes))
    return [numbers[end - size : end] for size, end in zip(sizes, ends)]


def _joined(old: torch.Tensor | None, new: torch.Tensor) -> torch.Tensor:
    return new if old is None else torch.cat([old, new])
