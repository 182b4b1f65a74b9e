"""What every engine gives back, and the seeds that it is given. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from modelops.rows import CUT


@dataclass(frozen=True)
class Sample:
    """One answer. `tokens` counts the drawn tokens, also an end token and those of a stop string.

    `finish_reason` is "stop" where the model ended its answer or said a stop string, "length" where
    max_tokens did. `logprob` is the sum of the drawn tokens' log-probabilities (natural) under the
    model itself, before penalty, temperature and all cuts; `logprobs` has one for each of the drawn
    `ids`. A server may keep all of them to itself. `truncated` says that the prompt lost its start
    to fit the model's context; `prompt` has its ids as the model read them. `reward` is what a
    reward model says of the answer, where one was asked.
    """

    text: str
    tokens: int | None
    finish_reason: str
    logprob: float | None
    truncated: bool = False
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    prompt: tuple[int, ...] = ()
    reward: float | None = None

    @property
    def ended(self) -> bool:
        """Whether the answer came to its own end, in place of being cut at its longest length."""
        return self.finish_reason != CUT


class Engine(Protocol):
    """What answers prompts."""

    def stream(
        self,
        conversations: list[list[dict]],
        seeds: list[int],
        *,
        tick: Callable[[], None] = ...,
        **settings: Any,
    ) -> Iterator[tuple[int, Sample]]:
        """Each conversation's number and answer, as soon as it is there. `tick` is called now and
        then; what it raises ends the stream. The settings are those of a sampling recipe.
        """

    def close(self) -> None:
        """Release what it holds."""


def row_seed(seed: int, prompt_id: str, slot: int, attempt: int = 0) -> int:
    """The seed (63 bits) of one answer: the same for this recipe seed, prompt, slot and attempt on
    every run.
    """
    key = json.dumps([seed, prompt_id, slot, *([attempt] if attempt else [])]).encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1
