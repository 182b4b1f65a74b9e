"""Train a reward model on rankings: `python -m workers.trainers.reward RUN/recipe.json`.

The loss is that of Ouyang et al. 2022, section 3.5: for a prompt whose rankings imply the pairs P,

    −(1/|P|) Σ_{(w,l)∈P} log σ(r(x, y_w) − r(x, y_l))

averaged over prompts. All pairs of a prompt lie in one batch element and each distinct answer is forwarded once.

The saved model is transformers' sequence classifier with one label. Its head has no bias, so the shift after which the
mean training answer scores 0 is stored as `reward_shift` in its config.json: a reward is the logit minus that shift.
"""

from __future__ import annotations

from workers.trainers import runs

if __name__ == "__main__":
    run = runs.begin("reward")  # before the imports below, see there

import torch
from peft import get_peft_model
from torch.nn.functional import logsigmoid
from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments, set_seed

from workers.trainers import events, figures, groups, loop, tokens
from workers.trainers.groups import Group


def train(run: runs.Run) -> None:
    """Everything from the frozen rows to the published model."""
    # 1. The data: one example a prompt.
    found = groups.of_rows(run.rows())
    tokenizer = tokens.load_tokenizer(run.model)
    examples = [example(group, tokenizer, run.recipe.max_length) for group in found]
    to_learn = [e for e, group in zip(examples, found) if group.split == "train"]
    events.log(f"Learns from {sum(len(e['pairs']) for e in to_learn)} pairs of {len(to_learn)} prompts.")

    # 2. The model: the policy's body under a new head.
    set_seed(run.recipe.seed)
    model = loop.load(AutoModelForSequenceClassification, run, num_labels=1)
    model.config.pad_token_id = tokenizer.pad_token_id
    model.score.float()
    if adapter := loop.adapter(run.recipe, "SEQ_CLS", modules_to_save=["score"]):
        model = get_peft_model(model, adapter)

    # 3. The training.
    trainer = RewardTrainer(
        model=model,
        args=loop.arguments(TrainingArguments, run, rows=len(to_learn), at_once=1),
        train_dataset=to_learn,
        data_collator=lambda batch: collate(batch, tokenizer.pad_token_id),
        processing_class=tokenizer,
    )
    loop.train(trainer, run)

    # 4. The figures, and the result.
    scores = [score(model, e["answers"], tokenizer.pad_token_id) for e in loop.told(examples, "Scores the prompts")]
    shift = train_mean(found, scores)
    model.config.reward_shift = shift
    result = [
        *groups.accuracy(found, scores),
        *groups.accuracy(found, [group.lengths() for group in found], "longer_answer_accuracy"),
        *groups.loss(found, scores),
        *groups.counts(found),
        figures.plain("reward_shift", "train", shift, len(to_learn)),
    ]
    run.publish(lambda folder: loop.save(model, tokenizer, run, folder), result)


def example(group: Group, tokenizer, longest: int) -> dict:
    """A prompt as the trainer's dataset holds it: the token ids of each distinct answer after the prompt, and the pairs."""
    pad = tokenizer.pad_token_id
    answers = [tokens.without_end_pads(prompt + answer, pad) for prompt, answer in group.answers(tokenizer, longest)]
    return {"answers": answers, "pairs": group.lessons}


def collate(batch: list[dict], pad: int) -> dict[str, torch.Tensor]:
    """Prompts as tensors: ids and mask (answers, length); winners, losers and weights (pairs,).

    Winners and losers are rows of the ids. Each prompt's weights sum to one over the number of prompts.
    """
    ids, mask = tokens.padded([answer for prompt in batch for answer in prompt["answers"]], pad)
    winners, losers, weights, start = [], [], [], 0
    for prompt in batch:
        winners += [start + w for w, _ in prompt["pairs"]]
        losers += [start + l for _, l in prompt["pairs"]]
        weights += [1 / len(prompt["pairs"]) / len(batch)] * len(prompt["pairs"])
        start += len(prompt["answers"])
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "winners": torch.tensor(winners),
        "losers": torch.tensor(losers),
        "weights": torch.tensor(weights),
    }


def ranking_loss(
    scores: torch.Tensor, winners: torch.Tensor, losers: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """The weighted sum of −log σ(winner's score − loser's score): scores (answers,), the others (pairs,) of collate()."""
    return -(weights * logsigmoid(scores[winners] - scores[losers])).sum()


class RewardTrainer(Trainer):
    """transformers' Trainer with the loss above; a micro-batch is one or more whole prompts."""

    loss_is_scaled_for_ga = False  # ours is a mean over the micro-batch

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        scores = rewards(model, inputs["input_ids"], inputs["attention_mask"])
        return ranking_loss(scores, inputs["winners"], inputs["losers"], inputs["weights"])


def rewards(model, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Scores (answers,) in float32, unshifted, of right-padded ids and their mask (answers, length)."""
    return model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, 0].float()


@torch.inference_mode()
def score(model, answers: list[list[int]], pad: int) -> list[float]:
    """The unshifted score of each of one prompt's answers (token ids, prompt included)."""
    model.eval()
    ids, mask = (tensor.to(model.device) for tensor in tokens.padded(answers, pad))
    with torch.autocast(model.device.type, torch.bfloat16, enabled=loop.best_dtype() == torch.bfloat16):
        return rewards(model, ids, mask).tolist()


def train_mean(found: list[Group], scores: list[list[float]]) -> float:
    """Mean score of the training split's distinct answers."""
    values = [value for group, row in zip(found, scores) if group.split == "train" for value in row]
    return sum(values) / len(values)


if __name__ == "__main__":
    train(run)
