"""Answers from a model on this machine, by our own decode loop over a transformers model.

Each prompt is read once, whatever its number of answers; rows that end leave the batch and others
take their places (`batch.py`); their keys and values are allocated once (`cache.py`); draws sort no
vocabulary and repeat themselves (`draws.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from workers.engines import fusion, llama
from workers.engines.answers import Sample
from workers.engines.batch import Batch, Row
from workers.engines.decoders import decoder_of
from workers.engines.draws import Sampler
from workers.engines.endings import Endings
from workers.modeling import context_length, tokens, weights
from workers.modeling.device import best_device, best_dtype

logger = logging.getLogger(__name__)


class LocalEngine:
    """A model folder (safetensors and tokenizer), loaded once.

    Raises OSError where the folder holds no whole model, and ValueError for a model that can't be
    decoded here.
    """

    def __init__(self, folder: str | Path, device: torch.device | None = None, dtype: str = "auto"):
        device = device or best_device()
        model = (
            weights.load(auto_class(folder), folder, best_dtype(device, dtype)).to(device).eval()
        )
        fusion.prepare(model)
        self._take(model, tokens.load_tokenizer(folder))
        self.quick = llama.step_of(model)

    @classmethod
    def around(
        cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: int
    ) -> LocalEngine:
        """An engine around a loaded model, such as one that is learning: it samples from the
        weights of the moment.

        The model must be in eval mode. A prompt and its answer together have at most `context`
        tokens.
        """
        engine = cls.__new__(cls)
        engine._take(model, tokenizer, context)
        return engine

    def _take(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        context: int = context_length.NO_LIMIT,
    ) -> None:
        self.model, self.tokenizer, self.device = model, tokenizer, model.device
        self.context = min(context, context_length.context(model.config))
        self.decoder, self.quick = decoder_of(model), None
        self.ends = tokens.all_end_ids(model, tokenizer)

    def close(self) -> None:
        """Release the model's memory; the engine is of no use afterwards."""
        self.model = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def sample(self, conversations: list[list[dict]], seeds: list[int], **settings) -> list[Sample]:
        """One answer to each conversation, in their order; the settings are those of `stream`."""
        samples = dict(self.stream(conversations, seeds, **settings))
        return [samples[number] for number in range(len(conversations))]

    @torch.inference_mode()
    def stream(
        self,
        conversations: list[list[dict]],
        seeds: list[int],
        *,
        temperature: float = 0.8,
        top_p: float = 0.95,
        top_k: int = 50,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        stop: Collection[str] = (),
        max_tokens: int = 128,
        batch: int = 64,
        tick: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[int, Sample]]:
        """Each conversation's number and answer, as soon as it is there (repeat a conversation for
        several answers).

        An answer depends on its own seed and not on the rows beside it, as far as rounding allows:
        in float32 it is the same in any batch, in bfloat16 two tokens that are nearly as likely may
        change places. Temperature 0 always takes the likeliest token and ignores the seeds; what
        the other settings do says `draws.Sampler`. An answer ends before the first string of
        `stop`. A prompt that leaves no room for `max_tokens` loses what follows its system turn
        first, see tokens.shortened(), and the sample says so. At most `batch` answers are drawn
        together. `tick` is called at every step; what it raises ends the stream. Raises ValueError
        where `max_tokens` fills the context.
        """
        sampler = Sampler(temperature, top_p, top_k, min_p, repetition_penalty)
        longest = room(self.context, max_tokens, self.model.config.is_encoder_decoder)
        endings = Endings(self.tokenizer, self.ends, stop, max_tokens)
        prompts = self._prompts(conversations, longest)
        rows = [
            Row(number, ids, seed)
            for number, ((ids, _), seed) in enumerate(zip(prompts, seeds, strict=True))
        ]
        size = min(batch, len(rows))
        decoder = self.decoder(
            self.model, self.tokenizer.pad_token_id, size, max_tokens, self.quick
        )
        for row in Batch(decoder, sampler, rows, size, max_tokens, endings.reached).run(tick):
            yield row.number, finished(row, endings, prompts[row.number][1])

    def _prompts(
        self, conversations: list[list[dict]], longest: int
    ) -> list[tuple[list[int], bool]]:
        """Each conversation's token ids, and whether they were cut."""
        prompts = [
            tokens.prompt_ids(self.tokenizer, messages, longest) for messages in conversations
        ]
        if cut := sum(truncated for _, truncated in prompts):
            logger.warning("%d of %d prompts were cut to fit %d tokens", cut, len(prompts), longest)
        return prompts


def finished(row: Row, endings: Endings, truncated: bool) -> Sample:
    return Sample(
        text=endings.text(row.ids),
        tokens=len(row.ids),
        finish_reason=endings.reason(row.ids),
        logprob=sum(row.logprobs),
        truncated=truncated,
        ids=tuple(row.ids),
        logprobs=tuple(row.logprobs),
        prompt=tuple(row.prompt),
    )


def auto_class(folder: str | Path) -> type:
    """The class of transformers that loads this folder's model for text."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def room(context: int, max_tokens: int, encoder_decoder: bool) -> int:
    """The longest prompt beside an answer of `max_tokens`; an encoder has a context of its own.

    Raises ValueError where such an answer leaves no room for any.
    """
    if max_tokens >= context:
        raise ValueError(
            f"an answer of {max_tokens} tokens fills the model's context of {context}: lower "
            "max_tokens"
        )
    return context if encoder_decoder else context - max_tokens


def examine(
    folder: str | Path, conversations: Iterable[list[dict]], max_tokens: int, least_prompt: float
) -> list[str]:
    """What there is to say, before the model in `folder` is loaded, of how it would read these
    conversations.

    Raises ValueError where `max_tokens` fills the model's context, or Unreadable where its chat
    template does not take a conversation, or a prompt would keep less than the share `least_prompt`
    of its tokens.
    """
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    longest = room(context_length.context(config), max_tokens, config.is_encoder_decoder)
    tokenizer = tokens.load_tokenizer(folder)
    fitted = context_length.read(
        tokenizer, ((messages, [], []) for messages in conversations), longest
    )
    context_length.refuse(fitted, least_prompt, "lower max_tokens")
    return context_length.sentences(fitted, longest)
