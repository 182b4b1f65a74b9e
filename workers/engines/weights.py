"""Reading a model's weights from its folder, and refusing to guess any."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel

NEW_HEAD = "score.weight"  # of a scoring model that starts from a policy's body


def load(auto: type, folder: str | Path, dtype: torch.dtype, **more) -> PreTrainedModel:
    """The safetensors model in `folder`, as class `auto` of transformers; `more` goes to its config.

    Raises OSError where the files are missing, broken, or lack weights: transformers would fill those in with random
    numbers, all but a new scoring head's.
    """
    more |= {"dtype": dtype, "local_files_only": True, "use_safetensors": True, "trust_remote_code": False}
    try:
        model, info = auto.from_pretrained(folder, output_loading_info=True, **more)
    except (SafetensorError, ValueError, KeyError) as error:
        raise OSError(f"the model in {folder} is broken: {error}") from error
    if lost := set(info["missing_keys"]) - {NEW_HEAD}:
        raise OSError(f"the model in {folder} lacks {len(lost)} of its weights")
    return model
