"""Encoder-decoder models (T5, BART): the encoder reads the prompt, the decoder learns the answer.

TRL knows only causal models, so these are trained with transformers' own Seq2SeqTrainer.
"""

from __future__ import annotations

import torch
from peft import get_peft_model
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    DataCollatorForSeq2Seq,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Seq2SeqTrainer,
)
from transformers import Seq2SeqTrainingArguments as Arguments

from workers.modeling import tokens
from workers.trainers.run import loop
from workers.trainers.run.events import Stop
from workers.trainers.run.runs import Run

IGNORED = -100  # the label that torch's cross-entropy leaves out


def asked(run: Run) -> bool:
    """Is the run's model an encoder-decoder? False where its configuration can't be read: loading
    it says so.
    """
    try:
        return AutoConfig.from_pretrained(
            run.model, local_files_only=True, trust_remote_code=False
        ).is_encoder_decoder
    except (OSError, ValueError):
        return False


def refuse(run: Run) -> None:
    """Raises Stop for an encoder-decoder, where a trainer compares log-probabilities as only causal
    models give them.
    """
    if asked(run):
        raise Stop(
            f"An encoder-decoder model can't be trained by {run.kind}: fine-tune it by sft, or "
            "choose another."
        )


def trainer(
    run: Run,
    pieces: list[tuple[list[int], list[int]]],
    tokenizer: PreTrainedTokenizerBase,
    at_once: int,
) -> Seq2SeqTrainer:
    """A trainer of the run's model on (prompt, answer) token ids, under an adapter if the recipe
    asks for one.
    """
    model = loop.load(AutoModelForSeq2SeqLM, run)
    if adapter := loop.adapter(run.recipe, "SEQ_2_SEQ_LM"):
        model = get_peft_model(model, adapter)
    return Seq2SeqTrainer(
        model=model,
        args=loop.arguments(Arguments, run, rows=len(pieces), at_once=at_once),
        train_dataset=[{"input_ids": prompt, "labels": answer} for prompt, answer in pieces],
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model, label_pad_token_id=IGNORED),
        processing_class=tokenizer,
    )


@torch.inference_mode()
def logprobs(
    model: PreTrainedModel, answers: list[tuple[list[int], list[int]]], pad: int
) -> list[float]:
    """The log-probability (natural, summed over tokens) of each answer after its prompt, both as
    token ids.

    In the number format of the model's weights.
    """
    model.eval()
    ids, mask = (
        tensor.to(model.device) for tensor in tokens.padded([prompt for prompt, _ in answers], pad)
    )
    answer_ids, real = (
        tensor.to(model.device) for tensor in tokens.padded([answer for _, answer in answers], pad)
    )
    # the model shifts its labels right by its own start token, as the sampling engine does
    logits = model(
        input_ids=ids, attention_mask=mask, labels=answer_ids.masked_fill(real == 0, IGNORED)
    ).logits
    each = logits.float().log_softmax(-1).gather(2, answer_ids[..., None])[..., 0]
    return (each * real.bool()).sum(1).tolist()
