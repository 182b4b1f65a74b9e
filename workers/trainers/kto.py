"""Fine-tune a policy on answers that are good or bad, unpaired: `python -m workers.trainers.kto
RUN/recipe.json`.

Kahneman-Tversky optimisation (Ethayarajh et al. 2024) with TRL's KTOTrainer. The implicit reward of
an answer is r = β (log π(y|x) − log π_ref(y|x)), where π_ref is the model the run starts from, and
z is β times the divergence of the two, estimated on answers that belong to other prompts of the
batch. The loss of a good answer is λ (1 − σ(r − z)), of a bad one λ (1 − σ(z − r)).
"""

from __future__ import annotations

from typing import Any

from workers.trainers.run import runs

if __name__ == "__main__":
    run = runs.begin("kto")  # before the imports below, see there

import random

from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedModel, set_seed
from trl import KTOConfig, KTOTrainer

from workers.modeling import tokens
from workers.trainers import seq2seq
from workers.trainers.data import binary_labels, truncation
from workers.trainers.data.binary_labels import Labelled, of_rows
from workers.trainers.dpo import implicit_rewards
from workers.trainers.run import events, loop, metrics
from workers.trainers.run.events import Stop


def train(run: runs.Run) -> None:
    """Everything from the frozen rows to the published model."""
    # 1. The data: token ids of each prompt's good and bad answers.
    seq2seq.refuse(run)
    run = truncation.within_context(run)
    recipe = run.recipe
    if recipe.batch < 2:
        raise Stop(
            "KTO compares the answers of a batch with each other: choose a batch of at least 2."
        )
    tokenizer = tokens.load_tokenizer(run.model)
    pad = tokenizer.pad_token_id
    labelled, fitted, lost = binary_labels.fit(run, of_rows(run.rows(), recipe.labels), tokenizer)
    answers = [part.rows for part in fitted]

    # 2. The model, and what it thinks of every answer before it learns.
    set_seed(recipe.seed)
    model = loop.load(AutoModelForCausalLM, run).to(loop.best_device())
    lessons = [
        {"prompt_ids": prompt, "completion_ids": answer, "label": label}
        for of, part in zip(labelled, answers)
        for (prompt, answer), label in zip(part, of.labels)
        if of.split == "train"
    ]
    random.Random(recipe.seed).shuffle(
        lessons
    )  # TRL takes them in their order, which makes the mismatched ones
    longest = 2 * max(
        len(lesson["prompt_ids"]) + len(lesson["completion_ids"]) for lesson in lessons
    )
    at_once = several_at_once(recipe.batch, longest, recipe.tokens_at_once)
    lessons = mismatched(lessons, at_once, recipe.max_length)
    events.log(f"Reads {len(lessons)} answers with the model it starts from.")
    for lesson in loop.with_progress(lessons, "Reads the answers"):
        pair = [
            (lesson["prompt_ids"], lesson[name]) for name in ("completion_ids", "KL_completion_ids")
        ]
        lesson["ref_logps"], lesson["ref_KL_logps"] = loop.logprobs(
            model, pair, pad, recipe.tokens_at_once
        )
    good = sum(lesson["label"] for lesson in lessons)
    bad = len(lessons) - good
    events.log(f"Learns from {good} good and {bad} bad answers.")

    # 3. The training. The rarer of good and bad weighs more, so that both sides count alike (the
    # paper's equation 8).
    trainer = VerdictTrainer(
        model=model,
        args=loop.arguments(
            KTOConfig,
            run,
            rows=len(lessons),
            at_once=at_once,
            beta=recipe.beta,
            desirable_weight=max(1.0, bad / max(good, 1)),
            undesirable_weight=max(1.0, good / max(bad, 1)),
            max_length=None,  # binary_labels.fit() and mismatched() have cut them
            precompute_ref_log_probs=True,
        ),
        train_dataset=Dataset.from_list(lessons),
        processing_class=tokenizer,
        peft_config=loop.adapter(recipe, "CAUSAL_LM"),
    )
    loop.train(trainer, run)
    model = loop.whole(trainer, run)
    if model is None:
        return  # the first process goes on by itself

    # 4. The result, and its figures.
    def measure(published: PreTrainedModel) -> list[dict]:
        rewards = implicit_rewards(run, published, answers, pad)
        return [*accuracy(labelled, rewards), *counts(labelled), *lost]

    loop.publish(model, tokenizer, run, measure)


def several_at_once(batch: int, tokens_each: int, at_once: int = 0) -> int:
    """As loop.rows_at_once(), but at least two: an answer is compared with another one of its
    forward pass.
    """
    smallest = min(size for size in range(2, batch + 1) if batch % size == 0)
    return max(smallest, loop.rows_at_once(batch, tokens_each, at_once))


def mismatched(lessons: list[dict], at_once: int, longest: int) -> list[dict]:
    """The lessons, each with the answer to another prompt of its batch as its mismatched answer:
    the nearest one before it.

    The answer loses its end where prompt and answer have more than `longest` tokens. A last batch
    of one looks to the lesson before it. Only where its whole batch has the same prompt does a
    lesson take another answer to it.
    """
    result, cut = [], 0
    for place, lesson in enumerate(lessons):
        start = min(place - place % at_once, len(lessons) - 2)
        batch = lessons[start : start + at_once]
        before = (
            batch[place - start + 1 :] + batch[: place - start]
        )  # in a circle, the nearest one last
        others = [
            other for other in before if other["prompt_ids"] != lesson["prompt_ids"]
        ] or before
        answer, room = others[-1]["completion_ids"], longest - len(lesson["prompt_ids"])
        result.append(lesson | {"KL_completion_ids": answer[:room]})
        cut += len(answer) > room
    if cut:
        events.log(f"{cut} mismatched answers lost their end to fit {longest} tokens.")
    return result


def accuracy(labelled: list[Labelled], rewards: list[list[float]]) -> list[dict]:
    """How often a prompt's good answer has a higher implicit reward than its bad one, for each
    slice.
    """
    hits = [
        (of.split, metrics.picks(values, of.pairs), len(of.pairs))
        for of, values in zip(labelled, rewards)
    ]
    hits = [(split, (hit, count)) for split, hit, count in hits if count]
    slices = metrics.sliced([split for split, _ in hits], [hit for _, hit in hits])
    return [metrics.share("accuracy", slice, *zip(*part), unit="tasks") for slice, part in slices]


def counts(labelled: list[Labelled]) -> list[dict]:
    """How many good and bad answers each slice has."""
    numbers = []
    for slice, part in metrics.sliced(
        [of.split for of in labelled], [of.labels for of in labelled]
    ):
        good = sum(map(sum, part))
        numbers += [
            metrics.plain("good", slice, good),
            metrics.plain("bad", slice, sum(map(len, part)) - good),
        ]
    return numbers


class VerdictTrainer(KTOTrainer):
    """TRL's trainer, given answers that are already token ids and carry their reference
    log-probabilities.
    """

    def _prepare_dataset(self, dataset: Any, *_):
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *_):
        return dataset

    def create_model_card(self, *_, **__) -> None:
        """None: the result's own files say where it comes from."""


if __name__ == "__main__":
    train(run)
