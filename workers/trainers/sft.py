"""Fine-tune a policy on good answers, or on plain text: `python -m workers.trainers.sft
RUN/recipe.json`.

Supervised fine-tuning with TRL's SFTTrainer: the loss is the mean negative log-likelihood of the
answers' tokens; the prompts' tokens are read, not learned. Of a plain text every token is learned.
An encoder-decoder model takes the same way with transformers' own trainer.
"""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

from workers.trainers.run import runs

if __name__ == "__main__":
    run = runs.begin("sft")  # before the imports below, see there

import json

from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedModel, set_seed
from trl import SFTConfig, SFTTrainer, pack_dataset

from modelops import rows
from workers.modeling import tokens
from workers.trainers import seq2seq
from workers.trainers.data import targets, truncation
from workers.trainers.data.targets import Example, Pieces
from workers.trainers.run import events, loop, metrics
from workers.trainers.run.events import Stop


def train(run: runs.Run) -> None:
    """Everything from the frozen rows to the published model."""
    # 1. The data: what there is to imitate, as token ids.
    run, encoder_decoder = truncation.within_context(run), seq2seq.asked(run)
    recipe = run.recipe
    parts = [targets.examples(run.rows(), recipe.source), *others(run)]
    if encoder_decoder and (
        recipe.packing or any(not example.messages for part in parts for example in part)
    ):
        raise Stop(
            "Packing and plain text need a causal model: choose one, or other examples without "
            "packing."
        )
    tokenizer = tokens.load_tokenizer(run.model)
    cut, lost = targets.fit(run, tokenizer, parts)
    to_learn = targets.mixed(
        [trained(*part) for part in zip(parts, cut)], weights(run), recipe.seed
    )
    if not to_learn:
        raise Stop("No answer to imitate in the training split: collect more, then freeze again.")
    events.log(f"Learns from {len(to_learn)} answers.")

    # 2. The model, and its trainer.
    set_seed(recipe.seed)
    longest = max(len(prompt) + len(answer) for prompt, answer in to_learn)
    at_once = loop.rows_at_once(
        recipe.batch, recipe.max_length if recipe.packing else longest, recipe.tokens_at_once
    )
    make = seq2seq.trainer if encoder_decoder else answer_trainer
    trainer = make(run, to_learn, tokenizer, at_once)

    # 3. The training.
    loop.train(trainer, run)
    model = loop.whole(trainer, run)
    if model is None:
        return  # the first process goes on by itself

    # 4. The result, and its figures, of the first dataset.
    read = seq2seq.logprobs if encoder_decoder else loop.logprobs

    def measure(published: PreTrainedModel) -> list[dict]:
        logprobs = [
            sum(read(published, [piece], tokenizer.pad_token_id)[0] for piece in pieces)
            for pieces in loop.with_progress(cut[0], "Reads the answers")
        ]
        lengths = [sum(len(answer) for _, answer in pieces) for pieces in cut[0]]
        return [*losses(parts[0], logprobs, lengths), *lost]

    loop.publish(model, tokenizer, run, measure)


def mix(run: runs.Run) -> list[dict]:
    """{dataset, source, weight} of each further dataset; the worker has found their folders."""
    return json.loads((run.folder / "recipe.json").read_text()).get("mix", [])


def others(run: runs.Run) -> list[list[Example]]:
    """The examples of each further dataset."""
    return [targets.examples(list(rows.read(part["dataset"])), part["source"]) for part in mix(run)]


def weights(run: runs.Run) -> list[float]:
    """Of the run's own dataset, which is 1, and of the others."""
    return [1.0, *(part["weight"] for part in mix(run))]


def trained(examples: list[Example], cut: list[Pieces]) -> Pieces:
    """The training split's pieces."""
    return [
        piece
        for example, pieces in zip(examples, cut)
        if example.split == "train"
        for piece in pieces
    ]


def answer_trainer(
    run: runs.Run, to_learn: Pieces, tokenizer: PreTrainedTokenizerBase, at_once: int
) -> SFTTrainer:
    """TRL's trainer of the run's model on (prompt, answer) token ids, under an adapter if the
    recipe asks for one.
    """
    dataset = Dataset.from_list([labelled(*piece) for piece in to_learn])
    if run.recipe.packing:
        dataset = pack_dataset(dataset, run.recipe.max_length, "wrapped")
    return AnswerTrainer(
        model=loop.load(AutoModelForCausalLM, run),
        args=loop.arguments(
            SFTConfig,
            run,
            rows=len(dataset),
            at_once=at_once,
            max_length=None,  # targets.fit() has cut them
        ),
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=loop.adapter(run.recipe, "CAUSAL_LM"),
    )


def labelled(prompt: list[int], answer: list[int]) -> dict:
    """Token ids and their labels, as TRL's collator reads them."""
    return {"input_ids": prompt + answer, "labels": [seq2seq.IGNORED] * len(prompt) + answer}


def losses(examples: list[Example], logprobs: list[float], lengths: list[int]) -> list[dict]:
    """The mean negative log-likelihood per token for each slice, with an interval; n is its number
    of tokens.
    """
    return [
        metrics.share(
            "loss",
            slice,
            [-value for value, _ in part],
            [length for _, length in part],
            unit="texts",
        )
        for slice, part in metrics.sliced([e.split for e in examples], list(zip(logprobs, lengths)))
    ]


class AnswerTrainer(SFTTrainer):
    """TRL's trainer, without a model card for each checkpoint."""

    def create_model_card(self, *_, **__) -> None:
        """None: the result's own files say where it comes from."""


if __name__ == "__main__":
    train(run)
