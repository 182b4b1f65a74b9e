"""The tokens that all rows begin with, read once for all of them: the gradient reaches them through what is kept of them."""

from __future__ import annotations

import torch
from transformers import DynamicCache

from workers.trainers.runs import processes

FAMILIES = {"llama", "gpt2"}  # whose rows were proved to score the same; SmolLM2 is a llama
SHORTEST = 16  # tokens; fewer are not worth a pass of their own


def helps(model) -> bool:
    """Can this model read on from what it keeps while it learns?

    On a GPU activations are recomputed, which forbids it; under the wrapper of several processes it is not proved.
    """
    return model.config.model_type in FAMILIES and model.device.type == "cpu" and processes() == 1


def length(ids: torch.Tensor, mask: torch.Tensor) -> int:
    """How many tokens all rows begin with, at least one left to each; 0 where they are too few. Both (rows, length)."""
    same = (ids == ids[0]).all(0) & mask.bool().all(0)
    common = min(int(same.long().cumprod(0).sum()), int(mask.sum(1).min()) - 1)
    return common if len(ids) > 1 and common >= SHORTEST else 0


def read(model, ids: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Each layer's keys and values of `ids` (1, length)."""
    cache = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True).past_key_values
    return [(layer.keys, layer.values) for layer in cache.layers]


def repeated(layers: list[tuple[torch.Tensor, torch.Tensor]], rows: int) -> DynamicCache:
    """A cache in which each of `rows` rows has read the same."""
    cache = DynamicCache()
    for number, (keys, values) in enumerate(layers):
        cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), number)
    return cache
