"""Fine-tune a policy on good answers: `python -m workers.trainers.sft RUN/recipe.json`.

Supervised fine-tuning with TRL's SFTTrainer: the loss is the mean negative log-likelihood of the answers' tokens; the
prompts' tokens are read, not learned.
"""

from __future__ import annotations

from workers.trainers import runs

if __name__ == "__main__":
    run = runs.begin("sft")  # before the imports below, see there

from datasets import Dataset
from transformers import AutoModelForCausalLM, set_seed
from trl import SFTConfig, SFTTrainer

from modelops import rows
from workers.trainers import events, figures, loop, tokens
from workers.trainers.events import Stop

IGNORED = -100  # the label that torch's cross-entropy leaves out


def train(run: runs.Run) -> None:
    """Everything from the frozen rows to the published model."""
    # 1. The data: one example a prompt that has an answer to imitate.
    recipe = run.recipe
    found = examples(run.rows(), recipe.source)
    tokenizer = tokens.load_tokenizer(run.model)
    answers = [tokens.answered(tokenizer, e["messages"], e["text"], recipe.max_length) for e in found]
    to_learn = [labelled(*answer) for e, answer in zip(found, answers) if e["split"] == "train"]
    if not to_learn:
        raise Stop("No answer to imitate in the training split: collect more, then freeze again.")
    events.log(f"Learns from {len(to_learn)} answers.")

    # 2. The model.
    set_seed(recipe.seed)
    model = loop.load(AutoModelForCausalLM, run)

    # 3. The training.
    longest = max(len(example["input_ids"]) for example in to_learn)
    trainer = AnswerTrainer(
        model=model,
        args=loop.arguments(
            SFTConfig,
            run,
            rows=len(to_learn),
            at_once=loop.rows_at_once(recipe.batch, longest),
            max_length=None,  # tokens.answered() has cut them
        ),
        train_dataset=Dataset.from_list(to_learn),
        processing_class=tokenizer,
        peft_config=loop.adapter(recipe, "CAUSAL_LM"),
    )
    loop.train(trainer, run)

    # 4. The figures, and the result.
    logprobs = [
        loop.logprobs(trainer.model, [answer], tokenizer.pad_token_id)[0]
        for answer in loop.told(answers, "Reads the answers")
    ]
    result = losses(found, logprobs, [len(answer) for _, answer in answers])
    run.publish(lambda folder: loop.save(trainer.model, tokenizer, run, folder), result)


def examples(found: list[dict], source: str) -> list[dict]:
    """{messages, text, split} of each row: its best-ranked answer, or the demonstration it is. Raises Stop at a broken row."""
    read = best if source == "best" else demonstration
    result = []
    for number, row in enumerate(found, start=1):
        try:
            result.append(read(row))
        except (KeyError, IndexError, TypeError, AttributeError):
            raise Stop(
                f"Row {number} of the dataset does not fit the source {source!r}: choose the other source, or freeze again."
            ) from None
    return [example for example in result if example]


def best(row: dict) -> dict | None:
    """The example of a judgments row; None where nothing was ranked."""
    place = rows.best(row)
    if place is None:
        return None
    return {"messages": row["messages"], "text": row["answers"][place]["text"], "split": row["split"]}


def demonstration(row: dict) -> dict:
    """The example of a demonstrations row."""
    return {name: row[name] for name in ("messages", "text", "split")}


def labelled(prompt: list[int], answer: list[int]) -> dict:
    """Token ids and their labels, as TRL's collator reads them."""
    return {"input_ids": prompt + answer, "labels": [IGNORED] * len(prompt) + answer}


def losses(found: list[dict], logprobs: list[float], lengths: list[int]) -> list[dict]:
    """The mean negative log-likelihood per token for each slice, with an interval; n is its number of tokens."""
    return [
        figures.share("loss", slice, [-value for value, _ in part], [length for _, length in part])
        for slice, part in figures.sliced([e["split"] for e in found], list(zip(logprobs, lengths)))
    ]


class AnswerTrainer(SFTTrainer):
    """TRL's trainer, without a model card for each checkpoint."""

    def create_model_card(self, *_, **__):
        """None: the result's own files say where it comes from."""


if __name__ == "__main__":
    train(run)
