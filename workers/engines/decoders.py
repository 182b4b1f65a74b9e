"""How rows go through a model, a step at a time: what differs between decoder-only and
encoder-decoder models.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache, EncoderDecoderCache, PretrainedConfig, PreTrainedModel
from transformers.cache_utils import CacheLayerMixin, DynamicLayer, DynamicSlidingWindowLayer
from transformers.modeling_outputs import BaseModelOutput

from workers.engines.cache import Tape
from workers.engines.llama import Step
from workers.modeling import tokens

# columns beyond the longest row's: a full tape moves to its front once in at least so many steps
SLACK = 64


@dataclass
class Prefilled:
    """Prompts that the model has read: scores (prompts, vocabulary) of what comes next, keys,
    values and lengths.
    """

    logits: torch.Tensor
    layers: list[CacheLayerMixin]
    lengths: list[int]
    cross_layers: list[CacheLayerMixin] | None = None
    cross_lengths: list[int] | None = None


class Causal:
    """The running rows of a decoder-only model. Longer prompts must come before shorter ones.

    `rows` is how many there may be at once, `steps` how many tokens follow each prompt; `quick`
    computes a step where the model's own forward need not.
    """

    refills = True  # rows of different ages can share a step

    def __init__(
        self, model: PreTrainedModel, pad: int, rows: int, steps: int, quick: Step | None = None
    ):
        self.model, self.pad, self.rows, self.steps, self.quick = model, pad, rows, steps, quick
        self.accepted = inspect.signature(model.forward).parameters
        self.tape: Tape | None = None
        self.lengths: list[int] = []

    def before(self, prompt: list[int]) -> list[int]:
        """The tokens that count as already there when an answer starts."""
        return prompt

    def prefill(self, prompts: list[list[int]]) -> Prefilled:
        """Read these prompts, together and once."""
        ids, mask = tokens.padded(prompts, self.pad, side="left")
        cache = DynamicCache()
        output = self._forward(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            past_key_values=cache,
        )
        return Prefilled(output, cache.layers, [len(prompt) for prompt in prompts])

    def add(self, prefilled: Prefilled, places: list[int]) -> None:
        """Append a row for each of `places` among the prefilled prompts."""
        lengths = [prefilled.lengths[place] for place in places]
        if self.tape is None:
            self.tape = Tape(prefilled.layers, self.rows, max(lengths) + self.steps + SLACK)
        self.tape.add(prefilled.layers, places, max(lengths))
        self.lengths += lengths

    def keep(self, order: list[int]) -> None:
        """Let row i be what row `order[i]` was, and drop the others."""
        self.tape.keep(order)
        self.lengths = [self.lengths[row] for row in order]

    def step(self, drawn: torch.Tensor) -> torch.Tensor:
        """Append a token (rows,) to each row; returns the scores (rows, vocabulary) of the next."""
        self.tape.narrow(max(self.lengths))
        lengths = torch.tensor(self.lengths)[:, None]
        if self.quick:
            logits = self.quick(drawn, lengths, self._mask(lengths), self.tape)
        else:
            logits = self._forward(**self._inputs(drawn[:, None], lengths))
        self.tape.advance()
        self.lengths = [length + 1 for length in self.lengths]
        return logits

    def _inputs(self, drawn: torch.Tensor, lengths: torch.Tensor) -> dict:
        """What the model is given in a step: tokens and lengths before them, both (rows, 1)."""
        return {
            "input_ids": drawn,
            "attention_mask": self._mask(lengths).long(),
            "position_ids": lengths,
            "past_key_values": self.tape,
        }

    def _mask(self, lengths: torch.Tensor) -> torch.Tensor:
        """True where a row has a token (rows, width of the window and the new column): in its last
        columns.
        """
        width = self.tape.window.width
        return torch.arange(width + 1) >= width - lengths

    def _forward(self, **inputs) -> torch.Tensor:
        """The scores (rows, vocabulary) after the last column, in the model's number format."""
        inputs |= {"use_cache": True, "logits_to_keep": 1}
        for name in ("position_ids", "logits_to_keep"):
            if name not in self.accepted:
                inputs.pop(name, None)
        here = {name: self._here(value) for name, value in inputs.items()}
        return self.model(**here).logits[:, -1]

    def _here(self, value: Any):
        """A tensor on the model's device; a GPU fetches it by itself, and nobody waits."""
        device = self.model.device
        if not isinstance(value, torch.Tensor) or value.device == device:
            return value
        return value.pin_memory().to(device, non_blocking=True)


class EncoderDecoder(Causal):
    """The same for a model that reads the prompt with an encoder, once, and decodes from a start
    token.
    """

    def __init__(self, model: PreTrainedModel, pad: int, rows: int, steps: int, quick: None = None):
        super().__init__(model, pad, rows, steps)
        self.cross: Tape | None = None
        self.cross_lengths: list[int] = []
        # A decoder with absolute positions takes all rows to be equally old.
        self.refills = hasattr(model.config, "relative_attention_num_buckets")

    def before(self, prompt: list[int]) -> list[int]:
        return [start_token(self.model.config)]

    def prefill(self, prompts: list[list[int]]) -> Prefilled:
        ids, mask = tokens.padded(prompts, self.pad, side="right")
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        starts = torch.tensor([self.before(prompt) for prompt in prompts])
        logits = self._forward(
            input_ids=ids, attention_mask=mask, decoder_input_ids=starts, past_key_values=cache
        )
        own, cross = cache.self_attention_cache.layers, cache.cross_attention_cache.layers
        return Prefilled(
            logits, own, [1] * len(prompts), cross, [len(prompt) for prompt in prompts]
        )

    def add(self, prefilled: Prefilled, places: list[int]) -> None:
        super().add(prefilled, places)
        lengths = [prefilled.cross_lengths[place] for place in places]
        if self.cross is None:
            self.cross = Tape(prefilled.cross_layers, self.rows, max(lengths))
        self.cross.add_left(prefilled.cross_layers, places, max(lengths))
        self.cross_lengths += lengths

    def keep(self, order: list[int]) -> None:
        super().keep(order)
        self.cross.keep(order)
        self.cross_lengths = [self.cross_lengths[row] for row in order]
        self.cross.window.end = max(self.cross_lengths, default=0)

    def _inputs(self, drawn: torch.Tensor, lengths: torch.Tensor) -> dict:
        width = self.cross.window.width
        read = torch.tensor(self.cross_lengths)[:, None]
        return {
            "decoder_input_ids": drawn,
            "decoder_attention_mask": self._mask(lengths).long(),
            "attention_mask": (torch.arange(width) < read).long(),
            "encoder_outputs": self._shape_only(len(drawn), width),
            "past_key_values": EncoderDecoderCache(self.tape, self.cross),
        }

    def _shape_only(self, rows: int, width: int) -> BaseModelOutput:
        """The encoder's output, for its shape: the decoder takes keys and values made from it."""
        nothing = torch.zeros(1, 1, 1, dtype=self.model.dtype, device=self.model.device)
        return BaseModelOutput(nothing.expand(rows, width, self.model.config.hidden_size))


def decoder_of(model: PreTrainedModel) -> type[Causal]:
    """The class that decodes with `model`. Raises ValueError for a model that keeps more than keys
    and values.
    """
    layers = DynamicCache(config=model.config).layers
    if odd := {type(layer).__name__ for layer in layers} - {
        DynamicLayer.__name__,
        DynamicSlidingWindowLayer.__name__,
    }:
        raise ValueError(
            f"it keeps another memory than keys and values ({', '.join(sorted(odd))}): Podium "
            "can't run it"
        )
    return EncoderDecoder if model.config.is_encoder_decoder else Causal


def start_token(config: PretrainedConfig) -> int:
    """The token from which the decoder of an encoder-decoder model starts. Raises ValueError where
    none is named.
    """
    for token in (config.decoder_start_token_id, config.bos_token_id):
        if token is not None:
            return token
    raise ValueError("its configuration names no decoder_start_token_id")
