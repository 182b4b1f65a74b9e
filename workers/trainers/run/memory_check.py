"""Refuse a training that clearly can't fit its device, before anything is loaded.

What is counted is a floor: the weights in their format, and for each weight that learns its
gradient and Adam's two moments, all in float32; and the activations of a single row of at most
FLOOR_TOKENS tokens: what goes into each layer, in two bytes, which is kept even where the rest is
computed again, and the scores of a policy's tokens in four.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import torch
from transformers import AutoConfig

from modelops.recipes import TrainRecipe
from workers.engines import memory
from workers.engines.memory import gigabytes
from workers.modeling.device import best_device, best_dtype
from workers.modeling.processes import processes
from workers.trainers.run.events import Stop

FLOOR_TOKENS = 128
LEARNED = 16  # bytes of a weight that learns: itself, its gradient, and Adam's two moments
NOT_ADAPTED = (
    "embed",
    "wte",
    "wpe",
    "shared",
    "lm_head",
    "score",
    "bias",
)  # parts of names of what no adapter is put on


@dataclasses.dataclass(frozen=True)
class Size:
    """What counts of a model: its weights, those of an adapter of rank 1 on all its linear layers,
    and the sizes.
    """

    weights: int
    adapter: int
    layers: int
    width: int
    vocabulary: int

    @classmethod
    def of(cls, folder: Path) -> Size:
        known = memory.shapes(folder)
        adapted = [
            s
            for name, s in known.items()
            if len(s) == 2 and not any(part in name for part in NOT_ADAPTED)
        ]
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        sizes = [
            getattr(config, name, 0) or 0
            for name in ("num_hidden_layers", "hidden_size", "vocab_size")
        ]
        return cls(sum(map(math.prod, known.values())), sum(map(sum, adapted)), *sizes)


def learning(size: Size, recipe: TrainRecipe, frozen: torch.dtype) -> int:
    """Bytes of a model that learns, without activations."""
    if not recipe.lora:
        return LEARNED * size.weights
    return frozen.itemsize * size.weights + LEARNED * recipe.lora_rank * size.adapter


def activations(size: Size, recipe: TrainRecipe, scores: bool) -> int:
    """Bytes of the activations of the floor's row."""
    row = min(FLOOR_TOKENS, recipe.max_length)
    return row * (2 * size.layers * size.width + (4 * size.vocabulary if scores else 0))


def check(
    recipe: TrainRecipe, learn: list[Path], still: tuple[Path, ...] = (), scores: bool = True
) -> None:
    """Raises Stop where models that learn, and others beside them, clearly can't fit this process's
    device.
    """
    try:
        sizes = [Size.of(folder) for folder in learn]
        beside = sum(memory.parameters(folder) for folder in still)
    except (OSError, ValueError):
        return  # loading it says what is wrong
    device, frozen = best_device(), best_dtype()
    free = memory.available(device)
    alike = processes() if device.type == "cpu" else 1  # processes that share what is free

    def needed(recipe: TrainRecipe, frozen: torch.dtype = frozen, shards: int = 1) -> float:
        held = sum(learning(size, recipe, frozen) for size in sizes) / shards
        kept = (frozen.itemsize if recipe.lora else 4) * beside
        return alike * (held + kept + max(activations(size, recipe, scores) for size in sizes))

    shards = processes() if recipe.spread == "shards" else 1
    if needed(recipe, shards=shards) <= free:
        return
    adapter = dataclasses.replace(recipe, lora=True)
    ways = []
    if not recipe.lora and needed(adapter) <= free:
        ways.append("train an adapter (lora)")
    if frozen == torch.float32 and needed(adapter, torch.bfloat16) <= free < needed(adapter):
        ways.append("train an adapter on weights in bfloat16 (lora, dtype)")
    if enough := next((count for count in range(2, 65) if needed(recipe, shards=count) <= free), 0):
        ways.append(f"spread the weights over {enough} GPUs (devices, and shards for spread)")
    raise Stop(
        f"This job takes at least {gigabytes(needed(recipe, shards=shards))}, and its device has "
        f"{gigabytes(free)}: "
        f"{', or '.join(ways) or 'choose a smaller model'}."
    )
