"""Prompts and their answers in one row of tokens: each prompt once, then its answers, each as if it
alone followed it.

Nothing is padding, and each layer multiplies the whole row at once, which a processor does far
quicker than a few short rows after each other. Attention alone takes one answer after the other,
with its prompt before it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import PeftModel
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

from workers.modeling.processes import processes

NAME = "packed"  # of this way of attention, among those of transformers
FAMILIES = {"llama", "gpt2"}  # whose rows were proved to score the same; SmolLM2 is a llama
SHORTEST = 16  # tokens that answers begin with; fewer are not worth sharing

Row = list[int]


def helps(model: PreTrainedModel | PeftModel) -> bool:
    """Can this model's rows be packed? On a GPU, and under the wrapper of several processes, it is
    not proved.

    Where activations are recomputed it is wrong: that happens after the model has left this way of
    attention.
    """
    alone = model.device.type == "cpu" and processes() == 1
    return model.config.model_type in FAMILIES and alone and not model.is_activation_checkpointing


@dataclass(frozen=True)
class Stretch:
    """Tokens of the packed row that follow the shared ones, if any, and see no others."""

    own: slice
    shared: slice | None
    mask: (
        torch.Tensor | None
    )  # (own, shared + own) tokens: what each of the own ones sees; None: those up to itself


@dataclass
class Packed:
    """A packed row: its tokens, their positions in their texts, its stretches, and where each text
    ends, by its number.
    """

    ids: Row = field(default_factory=list)
    positions: Row = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)

    def add(self, ids: Row, position: int, shared: slice | None = None) -> slice:
        """Tokens that follow the shared ones, `position` of them; returns where they lie."""
        own = slice(len(self.ids), len(self.ids) + len(ids))
        self.ids += ids
        self.positions += range(position, position + len(ids))
        seen = (
            torch.ones(len(ids), position + len(ids), dtype=torch.bool).tril(position)
            if shared
            else None
        )
        self.stretches.append(Stretch(own, shared, seen))
        return own


def pack(rows: list[Row], prompts: list[int]) -> Packed:
    """The rows, token ids with their prompts, as one; equal numbers in `prompts` begin alike."""
    packed = Packed()
    for mine, common in by_prompt(rows, prompts):
        shared = packed.add(rows[mine[0]][:common], 0) if common else None
        for number in mine:
            packed.ends[number] = packed.add(rows[number][common:], common, shared).stop - 1
    return packed


def by_prompt(rows: list[Row], prompts: list[int]) -> Iterator[tuple[list[int], int]]:
    """The numbers of each prompt's rows, and how many tokens these share."""
    for prompt in dict.fromkeys(prompts):
        mine = [number for number, of in enumerate(prompts) if of == prompt]
        yield mine, length([rows[number] for number in mine])


def length(rows: list[Row]) -> int:
    """How many tokens all rows begin with, at least one left to each; 0 where sharing them is not
    worth it.
    """
    most = min(map(len, rows)) - 1
    common = next((place for place in range(most) if len({row[place] for row in rows}) > 1), most)
    return common if len(rows) > 1 and common >= SHORTEST else 0


def own_lengths(rows: list[Row], prompts: list[int]) -> list[int]:
    """How many tokens of each row are not shared."""
    lengths = {
        number: len(rows[number]) - common
        for mine, common in by_prompt(rows, prompts)
        for number in mine
    }
    return [lengths[number] for number in range(len(rows))]


def logits(model: PreTrainedModel | PeftModel, rows: list[Row], prompts: list[int]) -> torch.Tensor:
    """Scores (rows, heads) of a sequence classifier, at the last token of each row, under the
    caller's autocast.
    """
    whole: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    packed = pack(rows, prompts)
    tensors = {
        "input_ids": torch.tensor([packed.ids]),
        "position_ids": torch.tensor([packed.positions]),
    }
    with packing(whole):
        hidden = whole.base_model(**tensors, use_cache=False, stretches=packed.stretches)[0]
        ends = [packed.ends[number] for number in range(len(rows))]
        scores: torch.Tensor = whole.score(hidden[0, ends])
    return scores


@contextlib.contextmanager
def packing(model: PreTrainedModel) -> Iterator[None]:
    """The model attends in stretches meanwhile."""
    before = model.config._attn_implementation
    model.config._attn_implementation = NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: torch.Tensor | None,
    stretches: list[Stretch],
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' interface: query (1, heads, length, size) and keys and values to (1, length,
    heads, size).
    """
    times = query.shape[1] // key.shape[1]
    key, value = (part.repeat_interleave(times, 1) if times > 1 else part for part in (key, value))
    outputs = []
    for part in stretches:
        keys, values = (
            torch.cat(
                [kv[:, :, positions] for positions in (part.shared, part.own) if positions], 2
            )
            for kv in (key, value)
        )
        how: dict[str, Any] = {
            "attn_mask": part.mask,
            "is_causal": part.mask is None,
            "dropout_p": dropout,
            "scale": scaling,
        }
        outputs.append(scaled_dot_product_attention(query[:, :, part.own], keys, values, **how))
    return torch.cat(outputs, 2).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, attention)
