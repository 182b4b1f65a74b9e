"""Answers from a model on this machine: one padded `generate` for each batch of rows."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, GenerationConfig, LogitsProcessor, LogitsProcessorList

from workers.engines import weights
from workers.engines.device import best_device, best_dtype
from workers.trainers import tokens

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """One answer. `tokens` counts the drawn tokens, the end token too.

    `finish_reason` is "stop" where the model ended its answer, "length" where max_tokens did. `logprob` is the sum of
    the drawn tokens' log-probabilities (natural) under the model itself, before temperature, top-k and top-p.
    `truncated` says that the prompt lost its start to fit the model's context.
    """

    text: str
    tokens: int
    finish_reason: str
    logprob: float
    truncated: bool = False


def row_seed(seed: int, prompt_id: str, slot: int) -> int:
    """The seed (63 bits) of one answer: the same for this recipe seed, prompt and slot on every run."""
    key = json.dumps([seed, prompt_id, slot]).encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1


class LocalEngine:
    """A model folder (safetensors and tokenizer), loaded once. Raises OSError where the folder holds no whole model."""

    def __init__(self, folder: str | Path, device: torch.device | None = None):
        self.device = device or best_device()
        self.tokenizer = tokens.load_tokenizer(folder)
        model = weights.load(AutoModelForCausalLM, folder, best_dtype(self.device))
        self.model = model.to(self.device).eval()
        self.ends = end_tokens(self.model, self.tokenizer)
        # The model's own defaults (penalties, temperatures) would stack on ours.
        self.model.generation_config = GenerationConfig(
            eos_token_id=self.ends, pad_token_id=self.tokenizer.pad_token_id, do_sample=False
        )

    def close(self) -> None:
        """Release the model's memory; the engine is of no use afterwards."""
        self.model = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def sample(
        self,
        conversations: list[list[dict]],
        seeds: list[int],
        *,
        temperature: float = 0.8,
        top_p: float = 0.95,
        top_k: int = 50,
        max_tokens: int = 128,
        tick: Callable[[], None] = lambda: None,
    ) -> list[Sample]:
        """One answer to each conversation (repeat a conversation for several), each drawn from its own seed.

        An answer depends on its seed and not on the rows beside it, as far as rounding allows. Temperature 0 always
        takes the likeliest token and ignores the seeds. A prompt that leaves no room for `max_tokens` loses its start.
        `tick` is called at every step; what it raises ends the batch.
        """
        if not conversations:
            return []
        max_tokens, longest = self._room(max_tokens)
        prompts = [tokens.prompt_ids(self.tokenizer, messages, longest) for messages in conversations]
        if cut := sum(truncated for _, truncated in prompts):
            logger.warning("%d of %d prompts lost their start to fit %d tokens", cut, len(prompts), longest)
        ids, mask = tokens.padded([row for row, _ in prompts], self.tokenizer.pad_token_id, side="left")
        draw = Draw(seeds, ids.shape[1], max_tokens, temperature, top_p, top_k, tick)
        output = self.model.generate(
            input_ids=ids.to(self.device),
            attention_mask=mask.to(self.device),
            max_new_tokens=max_tokens,
            logits_processor=LogitsProcessorList([draw]),
        )
        drawn, logprobs = output[:, ids.shape[1] :].tolist(), torch.stack(draw.logprobs, dim=1).tolist()
        return [self._finished(*row) for row in zip(drawn, logprobs, [truncated for _, truncated in prompts])]

    def _room(self, max_tokens: int) -> tuple[int, int]:
        context = getattr(self.model.config, "max_position_embeddings", None) or 2**31
        max_tokens = min(max_tokens, context - 1)
        return max_tokens, context - max_tokens

    def _finished(self, ids: list[int], logprobs: list[float], truncated: bool) -> Sample:
        end = next((place for place, token in enumerate(ids) if token in self.ends), None)
        count = len(ids) if end is None else end + 1
        return Sample(
            text=self.tokenizer.decode(ids[:count], skip_special_tokens=True).strip(),
            tokens=count,
            finish_reason="length" if end is None else "stop",
            logprob=sum(logprobs[:count]),
            truncated=truncated,
        )


def end_tokens(model, tokenizer) -> list[int]:
    """The ids that end an answer: the model's own and the tokenizer's, which need not agree."""
    ids = model.generation_config.eos_token_id
    ids = set(ids) if isinstance(ids, list) else {ids}
    return sorted((ids | {tokenizer.eos_token_id}) - {None})


class Draw(LogitsProcessor):
    """Draws each row's next token by inverting its distribution at that row's own uniform number.

    It leaves only the drawn token, so that greedy `generate` takes it: torch's own sampling has one random stream for
    the whole batch, in which an answer would change with the rows beside it.
    """

    def __init__(
        self, seeds: list[int], start: int, steps: int, temperature: float, top_p: float, top_k: int, tick=lambda: None
    ):
        self.tick = tick
        self.start, self.temperature, self.top_p, self.top_k = start, temperature, top_p, top_k
        self.uniform = torch.stack([_uniform(seed, steps) for seed in seeds])
        self.logprobs: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (rows, vocabulary) with all but the drawn token at minus infinity."""
        self.tick()
        uniform = self.uniform[:, input_ids.shape[1] - self.start].to(scores.device)
        token = self.choose(scores.float(), uniform)[:, None]
        self.logprobs.append(scores.float().log_softmax(-1).gather(1, token)[:, 0])
        return torch.full_like(scores, -torch.inf).scatter_(1, token, 0.0)

    def choose(self, scores: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """The token (rows,) that each uniform number in [0, 1) picks from softmax(scores / temperature), cut by top-k, then top-p."""
        if self.temperature == 0:
            return scores.argmax(-1)
        values, ids = scores.topk(min(self.top_k or scores.shape[1], scores.shape[1]))
        probabilities = (values / self.temperature).softmax(-1).double()
        before = probabilities.cumsum(-1) - probabilities
        kept = before < self.top_p
        reach = (probabilities * kept).cumsum(-1)
        place = (reach <= uniform[:, None] * reach[:, -1:]).sum(-1)
        place = place.clamp(max=kept.sum(-1) - 1)  # where rounding reached the very end
        return ids.gather(1, place[:, None])[:, 0]


def _uniform(seed: int, steps: int) -> torch.Tensor:
    return torch.rand(steps, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
