"""Reading a model's weights from its folder, and refusing to guess any; a scoring head that
computes in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel

NEW_HEAD = "score.weight"  # of a scoring model that starts from a policy's body


def load(auto: Any, folder: str | Path, dtype: torch.dtype, **options: Any) -> PreTrainedModel:
    """The safetensors model in `folder`, as class `auto` of transformers; `options` go to its
    config.

    Raises OSError where the files are missing, broken, or lack weights: transformers would fill
    those in with random numbers, all but a new scoring head's.
    """
    options |= {
        "dtype": dtype,
        "local_files_only": True,
        "use_safetensors": True,
        "trust_remote_code": False,
    }
    model: PreTrainedModel
    try:
        model, info = auto.from_pretrained(folder, output_loading_info=True, **options)
    except (SafetensorError, ValueError, KeyError) as error:
        raise OSError(f"the model in {folder} is broken: {error}") from error
    if lost := set(info["missing_keys"]) - {NEW_HEAD}:
        raise OSError(f"the model in {folder} lacks {len(lost)} of its weights")
    return model


def share_kept(before: Path, after: Path, tick: Callable[[], None] = lambda: None) -> float:
    """How much of the change from the weights in `before` to those in `after` is left where both
    are rounded to bfloat16.

    The projection of the change that is left on the change Δ: Σ (round(w + Δ) − round(w)) Δ / Σ Δ²,
    over the weights w that both folders have. 1 where nothing is lost, and where nothing has
    changed. `tick` is called after each.
    """
    kept = whole = 0.0
    old = {name: file for file in before.glob("*.safetensors") for name in names_in(file)}
    for file in after.glob("*.safetensors"):
        for name in names_in(file) & old.keys():
            first, last = (tensor(at, name) for at in (old[name], file))
            if first.shape == last.shape:
                change = last - first
                left = last.bfloat16().float() - first.bfloat16().float()
                kept += torch.sum(left * change).item()
                whole += torch.sum(change * change).item()
            tick()
    return kept / whole if whole else 1.0


def names_in(file: Path) -> set[str]:
    """The names of the weights in a safetensors file."""
    with safe_open(file, "pt") as opened:
        return set(opened.keys())


def tensor(file: Path, name: str) -> torch.Tensor:
    """One of its weights, in float32."""
    with safe_open(file, "pt") as opened:
        weight: torch.Tensor = opened.get_tensor(name)
    return weight.float()


class Float32Head(torch.nn.Linear):
    """A scoring head that computes in float32, whatever number format its model computes in.

    In bfloat16 a score has eight significant bits, and different answers tie.
    """

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            return super().forward(hidden.float())


def use_float32_head(model: PreTrainedModel) -> PreTrainedModel:
    """The sequence classifier `model` itself, its head `score` replaced by a Float32Head."""
    old = cast(torch.nn.Linear, model.score)
    sizes: dict[str, Any] = {
        "in_features": old.in_features,
        "out_features": old.out_features,
        "device": old.weight.device,
    }
    # Drawing weights that are overwritten at once would change every later random draw.
    head = torch.nn.utils.skip_init(Float32Head, **sizes, bias=old.bias is not None)
    head.load_state_dict(old.state_dict())
    model.score = head
    return model
