"""What a reward model says of answers: one score for each answer and head, unshifted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from workers.modeling import gradient_cache, prefix_packing, tokens
from workers.modeling.device import best_device
from workers.modeling.gradient_cache import Rows

Model = PreTrainedModel | PeftModel
TOKENS_AT_ONCE = {"cpu": 1280, "cuda": 32768}  # whose activations are kept for one backward pass


def logits(model: Model, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Scores (answers, heads) in float32, unshifted, of right-padded ids and their mask (answers,
    length).

    In float32 also where the body computes in another number format, if the head is a
    weights.Float32Head.
    """
    scores: torch.Tensor = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return scores.float()


def rewards(model: Model, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Scores (answers,) in float32, unshifted, of right-padded ids and their mask (answers,
    length).
    """
    return logits(model, ids, mask).mean(1)


def budget() -> int:
    """The most tokens whose activations are in memory at once."""
    return TOKENS_AT_ONCE[best_device().type]


@torch.inference_mode()
def score_heads(
    model: Model,
    answers: list[list[int]],
    pad: int,
    prompts: list[int] | None = None,
    at_once: int = 0,
    progress: Callable[[list[Rows]], Iterable[Rows]] = iter,
) -> torch.Tensor:
    """What each head says (answers, heads), unshifted, of any prompts' answers (token ids, prompt
    included, without pads at their ends). `prompts` numbers the prompt of each, where some have the
    same. One pass reads `at_once` tokens, or what is usual on this device. `progress` goes through
    the passes; a trainer reports there that it is alive.

    Without autocast, in the number format of the model's weights: a model that is loaded in float32
    scores in float32.
    """
    at_once = at_once or budget()
    model.eval()
    packs, of = prefix_packing.helps(model), prompts or list(range(len(answers)))
    lengths = list(map(len, answers))
    passes = (
        gradient_cache.in_order(lengths, at_once)
        if packs
        else gradient_cache.buckets(lengths, at_once)
    )
    config: Any = model.config
    scores = torch.zeros(len(answers), config.num_labels)
    for rows in progress(passes):
        some = [answers[row] for row in rows]
        scores[rows] = (
            prefix_packing.logits(model, some, [of[row] for row in rows])
            if packs
            else read(model, some, pad)
        )
    return scores


def read(model: Model, answers: list[list[int]], pad: int) -> torch.Tensor:
    """Scores (answers, heads) of one padded batch."""
    ids, mask = (tensor.to(model.device) for tensor in tokens.padded(answers, pad))
    return logits(model, ids, mask).cpu()


def score(
    model: Model,
    answers: list[list[int]],
    pad: int,
    progress: Callable[[list[Rows]], Iterable[Rows]] = iter,
) -> list[float]:
    """The unshifted reward of each answer (token ids, prompt included)."""
    return score_heads(model, answers, pad, progress=progress).mean(1).tolist()
