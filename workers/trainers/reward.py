"""Train a reward model on rankings: `python -m workers.trainers.reward RUN/recipe.json`.

The loss is that of Ouyang et al. 2022, section 3.5: for a prompt whose rankings imply the pairs P,

    −(1/|P|) Σ_{(w,l)∈P} log σ(r(x, y_w) − r(x, y_l))

averaged over prompts. All pairs of a prompt lie in one batch element and each distinct answer is
forwarded once, the prompt itself once for all of them where the model can (prefix_packing.py); what
one pass reads is bounded (gradient_cache.py). Ties, margins and smoothing are in ranking_loss.py.

The saved model is transformers' sequence classifier with one label for each head. The heads have no
bias, so the shift after which the mean demonstration (without any, the mean training answer) scores
0 is stored as `reward_shift` in its config.json: a reward is the mean of the logits minus that
shift. Their standard deviation comes from the heads' random starts alone: body, data and loss are
the same. It is not how unsure the model is.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase

from workers.trainers.run import runs

if __name__ == "__main__":
    run = runs.begin("reward")  # before the imports below, see there

import dataclasses
import os
from collections.abc import Callable
from functools import partial

import torch
from peft import get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
    set_seed,
)

from modelops.recipes import RewardRecipe
from modelops.rows import has_ended
from workers.modeling import gradient_cache, prefix_packing, scoring, tokens
from workers.modeling.device import autocast
from workers.modeling.weights import use_float32_head
from workers.trainers.data import comparisons, truncation
from workers.trainers.data.comparisons import Group
from workers.trainers.ranking_loss import ranking_loss
from workers.trainers.run import events, loop, metrics
from workers.trainers.run.events import Stop

SCORING = partial(loop.with_progress, doing="Scores the answers")
TRAIN_PROMPTS_SCORED = (
    500  # at the end: enough for the shift, and for a figure to hold the held-out one against
)
# Ouyang et al. 2022, appendix C.2. Rates of smaller models are higher, here by the power that Brown
# et al. 2020 chose by.
PAPER = {
    "epochs": 1.0,
    "batch": 64,
    "lora": False,
    "heads": 1,
    "ties": "dropped",
    "margin": 0.0,
    "smoothing": 0.0,
}
PAPER_RATE, PAPER_SIZE, RATE_POWER = 9e-6, 6e9, -0.4


def train(run: runs.Run) -> None:
    """Everything from the frozen rows to the published model."""
    if os.environ.get("ACCELERATE_USE_FSDP", "false") == "true":
        raise Stop(
            "The reward trainer does not run under FSDP: launch it with processes.yaml, a copy in "
            "each process."
        )

    # 1. The data: one example a prompt.
    run = truncation.within_context(dataclasses.replace(run, recipe=preset(run.recipe)))
    tokenizer = tokens.load_tokenizer(run.model)
    demonstrations = demonstrated_rows(run, tokenizer)
    pad = tokenizer.pad_token_id
    groups, fitted, lost = comparisons.fit(
        run, comparisons.of_rows(run.rows(), ties=run.recipe.ties != "dropped"), tokenizer
    )
    examples = [example(group, part.rows, pad, run.recipe) for group, part in zip(groups, fitted)]
    to_learn = [e for e, group in zip(examples, groups) if group.split == "train" and e["pairs"]]
    if not to_learn:
        raise Stop(
            "Every judgment of the training split weighs nothing: freeze again, or train without "
            "weights."
        )
    events.log(
        f"Learns from {sum(len(e['pairs']) for e in to_learn)} pairs of {len(to_learn)} prompts."
    )

    # 2. The model: the policy's body under new heads, or an earlier reward model with its own, if
    # they are as many.
    set_seed(run.recipe.seed)
    heads = {"num_labels": run.recipe.heads, "ignore_mismatched_sizes": True}
    model = loop.load(AutoModelForSequenceClassification, run, **heads)
    model.config.pad_token_id = pad
    use_float32_head(model)
    run = dataclasses.replace(run, recipe=at_size(run.recipe, model.num_parameters()))
    if adapter := loop.adapter(run.recipe, "SEQ_CLS", modules_to_save=["score"]):
        model = get_peft_model(model, adapter)

    # 3. The training.
    at_once = loop.tokens_at_once(run.recipe, scoring.TOKENS_AT_ONCE)
    trainer = RewardTrainer(
        model=model,
        args=loop.arguments(TrainingArguments, run, rows=len(to_learn), at_once=run.recipe.batch),
        train_dataset=to_learn,
        data_collator=lambda batch: {"micro_batches": micro_batches(batch, pad, at_once)},
        processing_class=tokenizer,
    )
    trainer.at_once = at_once
    trainer.how = {name: getattr(run.recipe, name) for name in ("ties", "tie_share", "smoothing")}
    loop.train(trainer, run)

    # 4. The result, and its figures.
    shown = to_score(groups)
    groups = [groups[place] for place in shown]

    def measure(published: PreTrainedModel) -> list[dict]:
        values, spreads = by_prompt(
            [examples[place]["answers"] for place in shown], published, pad, at_once
        )
        demonstrated_mean = demonstrated(demonstrations, published, pad)
        source = "train" if demonstrated_mean is None else "demonstrations"
        shift = train_mean(groups, values) if demonstrated_mean is None else demonstrated_mean
        published.config.reward_shift = shift
        return [
            *results(groups, values),
            *lost,
            *spread_of_heads(groups, spreads, run.recipe.heads),
            metrics.plain("reward_shift", source, shift),
        ]

    loop.publish(model, tokenizer, run, measure)


def preset(recipe: RewardRecipe) -> RewardRecipe:
    """The recipe with the paper's settings in place of its own, where it asks for them."""
    return dataclasses.replace(recipe, **PAPER) if recipe.preset == "paper" else recipe


def at_size(recipe: RewardRecipe, parameters: int) -> RewardRecipe:
    """The recipe with the paper's learning rate for a model of this size, where it asks for the
    paper's settings.
    """
    rate = PAPER_RATE * (parameters / PAPER_SIZE) ** RATE_POWER
    return dataclasses.replace(recipe, learning_rate=rate) if recipe.preset == "paper" else recipe


def example(
    group: Group, both: list[tuple[list[int], list[int]]], pad: int, recipe: RewardRecipe
) -> dict:
    """A prompt as the trainer's dataset holds it: the token ids of each distinct answer after the
    prompt, and the pairs.

    `both` are the prompt's and each answer's token ids. A pair is (winner, loser, weight, margin,
    tied), the first two positions in the answers; weights sum to one.
    """
    answers = [tokens.without_end_pads(prompt + answer, pad) for prompt, answer in both]
    weights = [verdict.weight if recipe.weighted else 1.0 for verdict in group.verdicts]
    pairs = [
        (v.winner, v.loser, weight / sum(weights), recipe.margin * v.strength, v.tied)
        for v, weight in zip(group.verdicts, weights)
        if weight > 0
    ]
    return {"answers": answers, "pairs": pairs}


def micro_batches(batch: list[dict], pad: int, budget: int) -> list[dict[str, torch.Tensor]]:
    """A step's prompts as one collate() for each pass: as many whole ones as the budget holds, at
    least one.
    """
    passes: list[list[dict]] = []
    for prompt in batch:
        together = [*passes[-1], prompt] if passes else []
        lengths = [len(answer) for element in together for answer in element["answers"]]
        if together and len(gradient_cache.parts(lengths, budget)) == 1:
            passes[-1].append(prompt)
        else:
            passes.append([prompt])
    return [collate(prompts, pad, len(batch)) for prompts in passes]


def collate(prompts: list[dict], pad: int, of: int) -> dict[str, torch.Tensor]:
    """Prompts, of a step that has `of` of them, as tensors: ids and mask (answers, length), the
    number of each answer's prompt, and what is known of pairs.

    Winners and losers are rows of the ids. Each prompt's weights sum to 1 / `of`.
    """
    ids, mask = tokens.padded([answer for prompt in prompts for answer in prompt["answers"]], pad)
    numbers = [number for number, prompt in enumerate(prompts) for _ in prompt["answers"]]
    pairs, start = [], 0
    for prompt in prompts:
        pairs += [
            (start + w, start + l, weight / of, margin, tied)
            for w, l, weight, margin, tied in prompt["pairs"]
        ]
        start += len(prompt["answers"])
    names = ("winners", "losers", "weights", "margins", "tied")
    known = {name: torch.tensor(column) for name, column in zip(names, zip(*pairs))}
    return {"ids": ids, "mask": mask, "prompts": torch.tensor(numbers)} | known


class RewardTrainer(Trainer):
    """transformers' Trainer with the loss above; a batch is a step's micro_batches()."""

    how: dict = {}  # what ranking_loss() is told besides the pairs
    at_once = 0  # tokens whose activations are in memory at once; 0: what is usual on the device

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Gradients of the whole step; several processes add theirs up once, at the end, however
        many passes each took.
        """
        model.train()
        parts = self._prepare_inputs(inputs)["micro_batches"]
        with self.accelerator.no_sync(model):
            doing = f"Step {self.state.global_step + 1}"
            total = sum(
                learn(model, part, self.at_once or scoring.budget(), **self.how)
                for part in loop.with_progress(parts, doing)
            )
        loop.average_gradients(model)
        return total


def learn(
    model: PreTrainedModel, inputs: dict[str, torch.Tensor], budget: int, **how
) -> torch.Tensor:
    """Add the gradients of the loss of one collate() to the model's; returns the loss."""
    named = ("ids", "mask", "prompts")
    pairs = {name: value for name, value in inputs.items() if name not in named}
    forward, lengths = reading(model, *(inputs[name] for name in named))
    return gradient_cache.learn(
        forward, lambda scores: ranking_loss(scores.T, **pairs, **how), lengths, budget
    )


def reading(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, prompts: torch.Tensor
) -> tuple[Callable, list[int]]:
    """What scores the rows of some buckets, and how many tokens of each row it reads."""
    lengths = mask.sum(1).tolist()

    def padded(part: list[list[int]]) -> torch.Tensor:
        cut = ((bucket, max(lengths[row] for row in bucket)) for bucket in part)
        return torch.cat(
            [scoring.logits(model, ids[bucket, :end], mask[bucket, :end]) for bucket, end in cut]
        )

    if not prefix_packing.helps(loop.bare(model)):
        return padded, lengths
    rows = [row[:length] for row, length in zip(ids.tolist(), lengths)]
    of = prompts.tolist()

    def together(part: list[list[int]]) -> torch.Tensor:
        mine = [row for bucket in part for row in bucket]
        with autocast(loop.bare(model).device):
            return prefix_packing.logits(
                model, [rows[row] for row in mine], [of[row] for row in mine]
            )

    return together, prefix_packing.own_lengths(rows, of)


# --- at the end -----------------------------------------------------------------------------------


def to_score(groups: list[Group]) -> list[int]:
    """Places of the groups that figures are made of: all held-out ones that have pairs, and enough
    of training.
    """
    places = [place for place, group in enumerate(groups) if group.pairs]
    train = [place for place in places if groups[place].split == "train"]
    left_out = set(
        train[TRAIN_PROMPTS_SCORED:]
    )  # rows lie in the order of their hashes: the first are as good as drawn
    return [place for place in places if place not in left_out]


def by_prompt(
    prompts: list[list[list[int]]], model: PreTrainedModel, pad: int, at_once: int = 0
) -> tuple[list[list[float]], list[list[float]]]:
    """Each prompt's answers' unshifted rewards, and how far the heads differ on them."""
    numbers = [number for number, answers in enumerate(prompts) for _ in answers]
    scores = scoring.score_heads(
        model,
        [answer for answers in prompts for answer in answers],
        pad,
        numbers,
        at_once,
        progress=SCORING,
    )
    each = scores.split([len(answers) for answers in prompts])
    return [part.mean(1).tolist() for part in each], [
        part.std(1, correction=0).tolist() for part in each
    ]


def results(groups: list[Group], scores: list[list[float]]) -> list[dict]:
    """Accuracy beside that of always preferring the longer answer, loss, and counts."""
    return [
        *comparisons.accuracy(groups, scores),
        *comparisons.accuracy(
            groups, [group.lengths() for group in groups], "longer_answer_accuracy"
        ),
        *comparisons.loss(groups, scores),
        *comparisons.counts(groups),
    ]


def spread_of_heads(groups: list[Group], spreads: list[list[float]], heads: int) -> list[dict]:
    """The mean over answers of the heads' standard deviation, for each slice; nothing where there
    is but one head.

    It comes from the heads' random starts alone.
    """
    if heads == 1:
        return []
    parts = metrics.sliced(
        comparisons.splits(groups), [(sum(values), len(values)) for values in spreads]
    )
    return [metrics.share("reward_std", slice, *zip(*part), unit="tasks") for slice, part in parts]


def demonstrated_rows(run: runs.Run, tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Token ids of the training split's demonstrations, prompts included; none where the run has
    none. Raises Stop.
    """
    mine = [row for row in run.demonstrations() if row["split"] == "train"][:TRAIN_PROMPTS_SCORED]
    asked = [(row["messages"], [row["text"]], [has_ended(row)]) for row in mine]
    fitted = truncation.fit(run, tokenizer, asked)
    truncation.cut_by_sampler(
        [row["split"] for row in mine], [ended for *_, ended in asked], "demonstrations"
    )
    both = [row for part in fitted for row in part.rows]
    return [
        tokens.without_end_pads(prompt + answer, tokenizer.pad_token_id) for prompt, answer in both
    ]


def demonstrated(demonstrations: list[list[int]], model: PreTrainedModel, pad: int) -> float | None:
    """The unshifted reward of the mean demonstration; None without any."""
    values = scoring.score(model, demonstrations, pad, SCORING) if demonstrations else []
    return sum(values) / len(values) if values else None


def train_mean(groups: list[Group], scores: list[list[float]]) -> float:
    """Mean score of the training split's distinct answers."""
    values = [
        value for group, row in zip(groups, scores) if group.split == "train" for value in row
    ]
    return sum(values) / len(values)


if __name__ == "__main__":
    train(run)
