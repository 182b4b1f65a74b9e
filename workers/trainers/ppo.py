"""Fine-tune a policy on a reward model: `python -m workers.trainers.ppo RUN/recipe.json`.

PPO-ptx as in Ouyang et al. 2022 (section 3.5, equation 2, appendix C.4). In each round the policy answers prompts, the
reward model scores the answers, every token costs β times its divergence from the model that the run starts from, and
clipped steps (Schulman et al. 2017) follow the advantages over what a value model expects. With a rehearsal dataset, the
pretraining mix, γ times its log-likelihood is part of the objective. The equations are in ppo_math.py, the models in
ppo_models.py. The paper's moving average of the weights is a setting, off at first: it is for hundreds of rounds.

Every random choice is a function of the recipe's seed and of the number of its round or answer. So a checkpoint of the
weights, the optimiser and β, which counts the rounds in its name, holds every random state there is.
"""

from __future__ import annotations

from workers.trainers import runs

if __name__ == "__main__":
    run = runs.begin("ppo")  # before the imports below, see there

import dataclasses
import math
import random
import shutil
from collections import Counter
from collections.abc import Iterator

import torch
from transformers import AutoConfig, PreTrainedTokenizerBase

from modelops.recipes import PPORecipe
from workers.engines.answers import Sample, row_seed
from workers.trainers import checkpoint, events, figures, loop, ppo_math, tokens
from workers.trainers.events import Stop
from workers.trainers.ppo_models import (
    Answer,
    Models,
    as_it_was,
    distributions,
    load,
    logprobs_of,
    mask_of,
    parts_of,
    read,
    scores,
    trained,
    values_of,
    write,
)

EXAMINED = 64  # prompts of each split that the final figures are measured on


def train(run: runs.Run) -> None:
    """Everything from the frozen rows to the published model."""
    # 1. The prompts, and what is rehearsed.
    recipe = checked(run)
    prompts = prompts_of(run.rows())
    to_answer = [prompt for prompt in prompts if prompt["split"] == "train"]
    if not to_answer:
        raise Stop("No prompt in the training split: freeze a dataset that has some.")
    models = load(run)
    events.log(f"Computes in {str(loop.best_dtype()).removeprefix('torch.')} on {loop.best_device()}.")
    rehearsed = rehearsal(run, models.tokenizer)

    # 2. What learns, as it was when the last complete checkpoint was written.
    total = rounds(recipe, len(to_answer))
    learner = Learner(models, recipe)
    done = learner.resume(run)
    events.emit("start", total=total)

    # 3. Rounds: answer, score, learn.
    for number in range(done + 1, total + 1):
        places = range((number - 1) * recipe.rollouts, number * recipe.rollouts)
        asked = in_turn(to_answer, places, recipe.seed)
        seeds = [row_seed(recipe.seed, prompt["prompt_id"], place) for prompt, place in zip(asked, places)]
        samples = write(models.policy, models.tokenizer, asked, seeds, recipe)
        found = experience(models, asked, samples, learner.beta, recipe)
        told = found.figures | learner.learn(found, rehearsed, number)
        events.emit("step", step=number, total=total, metrics=told)
        if number % recipe.save_steps == 0 or number == total:
            learner.save(run, number)

    # 4. The figures, and the result.
    learner.settle()
    result = examine(models, prompts, recipe)
    run.publish(lambda folder: loop.save(models.policy, models.tokenizer, run, folder), result)


# --- What there is to do ----------------------------------------------------------------------------------------------


def checked(run: runs.Run) -> PPORecipe:
    """The run's recipe. Raises Stop where it or the run's models can't be used."""
    if runs.processes() > 1:
        raise Stop("PPO learns in a single process: start it with one device.")
    if run.recipe.max_tokens >= run.recipe.max_length:
        raise Stop("The recipe's setting max_tokens leaves no room for a prompt: it must be below max_length.")
    if loop.best_dtype() == torch.float16:
        raise Stop("PPO computes in float32 or bfloat16: choose one of them.")
    if AutoConfig.from_pretrained(run.model, local_files_only=True).is_encoder_decoder:
        raise Stop("PPO trains decoder-only models: choose one, or fine-tune this one with SFT.")
    if "reward_model" not in run.others:
        raise Stop("PPO needs a reward model: name its folder in the recipe, under others.")
    return run.recipe


def prompts_of(rows: list[dict]) -> list[dict]:
    """{prompt_id, split, messages} of each prompt once. Raises Stop at a broken row."""
    found = {}
    for number, row in enumerate(rows, start=1):
        try:
            found[row["prompt_id"]] = {name: row[name] for name in ("prompt_id", "split", "messages")}
        except (KeyError, TypeError):
            raise Stop(f"Row {number} of the dataset holds no prompt: choose prompts or judgments.") from None
    return list(found.values())


def rehearsal(run: runs.Run, tokenizer: PreTrainedTokenizerBase) -> list[Answer]:
    """The training split of the rehearsal dataset, texts or demonstrations; none without one, or with γ = 0."""
    folder = run.others.get("rehearsal")
    if folder is None or run.recipe.gamma == 0:
        return []
    found = []
    for number, row in enumerate(dataclasses.replace(run, dataset=folder).rows(), start=1):
        try:
            if row.get("split", "train") == "train":
                found.append(rehearsed(row, tokenizer, run.recipe.max_length))
        except (KeyError, TypeError, AttributeError):
            raise Stop(f"Row {number} of the rehearsal dataset holds no text: choose another dataset.") from None
    events.log(f"Rehearses {len(found)} texts.")
    return [text for text in found if text[1]]


def rehearsed(row: dict, tokenizer: PreTrainedTokenizerBase, longest: int) -> Answer:
    """A demonstration after its prompt, or a plain text after its first token."""
    if "messages" in row:
        return tokens.answered(tokenizer, row["messages"], row["text"], longest)
    ids = tokenizer(row["text"] + (tokenizer.eos_token or ""), add_special_tokens=False)["input_ids"][:longest]
    return ids[:1], ids[1:]


def rounds(recipe: PPORecipe, prompts: int) -> int:
    """How many rounds a recipe takes over so many prompts."""
    found = math.ceil(recipe.epochs * prompts / recipe.rollouts)
    return min(found, recipe.max_steps) if recipe.max_steps else found


def in_turn(items: list, places: range, *seed: object) -> list:
    """The items at `places` of an endless row of passes over all of them, each pass in an order of its own."""
    passes = {place // len(items) for place in places}
    orders = {number: shuffled(len(items), *seed, number) for number in passes}
    return [items[orders[place // len(items)][place % len(items)]] for place in places]


def shuffled(count: int, *seed: object) -> list[int]:
    """0 … count − 1 in an order that depends on the seed alone."""
    return random.Random(repr(seed)).sample(range(count), count)


# --- A round ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Experience:
    """A round's answers and what is learned from them: tensors (answers, steps)."""

    answers: list[Answer]
    mask: torch.Tensor
    logprobs: torch.Tensor
    values: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor
    figures: dict[str, float]


@torch.no_grad()
def experience(
    models: Models, prompts: list[dict], samples: list[Sample], beta: float, recipe: PPORecipe
) -> Experience:
    """Score a round's answers and estimate the advantage of each token."""
    answers = [(list(sample.prompt), list(sample.ids)) for sample in samples]
    given = torch.tensor(scores(models, prompts, samples, recipe))
    mask, logprobs, reference, entropy, values = read(models, answers)
    kl = ppo_math.token_kl(logprobs, reference) * mask
    rewards = ppo_math.token_rewards(given, kl, beta, mask)
    if recipe.whiten_rewards:
        rewards = ppo_math.whiten(rewards, mask, shift=False)
    advantages = ppo_math.advantages(rewards, values, mask, recipe.gae_lambda)
    returns = advantages + values
    told = {
        "reward": given.mean().item(),
        "reward_spread": given.std(unbiased=False).item(),
        "kl": kl.sum(1).mean().item(),
        "beta": beta,
        "entropy": ppo_math.mean(entropy, mask).item(),
        "explained_variance": ppo_math.explained_variance(values, returns, mask).item(),
        "answer_tokens": mask.sum(1).mean().item(),
        "cut_share": sum(not sample.ended for sample in samples) / len(samples),
    }
    return Experience(answers, mask, logprobs, values, ppo_math.whiten(advantages, mask), returns, told)


# --- Learning ---------------------------------------------------------------------------------------------------------


class Learner:
    """The policy and the value model, their optimiser, β, and the average of the policies if one is asked for."""

    def __init__(self, models: Models, recipe: PPORecipe):
        self.models, self.recipe, self.beta = models, recipe, recipe.beta
        self.peaks = (recipe.learning_rate, recipe.value_learning_rate)
        groups = [{"params": list(trained(model).values())} for model in (models.policy, models.value)]
        averaged = trained(models.policy) if recipe.average else {}
        self.average = {name: parameter.detach().clone() for name, parameter in averaged.items()}
        self.optimizer = torch.optim.Adam(groups, betas=(0.9, 0.95), eps=1e-5)  # the paper's; ε: Huang et al. 2022

    def learn(self, found: Experience, rehearsed: list[Answer], number: int) -> dict[str, float]:
        """A round's optimiser steps; what they cost, averaged over them. Then β follows the divergence."""
        for group, peak in zip(self.optimizer.param_groups, self.peaks):
            group["lr"] = peak * warmth(number)
        sums: Counter = Counter()
        batches = list(self.batches(len(found.answers), number))
        for place, rows in enumerate(loop.told(batches, "Learns from the answers, step")):
            sums.update(self.step(found, rows))
            if rehearsed:
                count = self.recipe.batch
                first = ((number - 1) * len(batches) + place) * count
                texts = in_turn(rehearsed, range(first, first + count), self.recipe.seed, "rehearsal")
                sums.update(self.rehearse(texts))
            self.move()
        self.remember()
        if self.recipe.kl_target:
            self.beta = ppo_math.next_beta(self.beta, found.figures["kl"], self.recipe.kl_target)
        return {name: value / len(batches) for name, value in sums.items()}

    def batches(self, count: int, number: int) -> Iterator[list[int]]:
        for again in range(self.recipe.inner_epochs):
            order = shuffled(count, self.recipe.seed, number, again)
            yield from (order[start : start + self.recipe.batch] for start in range(0, count, self.recipe.batch))

    def step(self, found: Experience, rows: list[int]) -> dict[str, float]:
        """Add the gradients of one step over these rows of a round; the losses."""
        told: Counter = Counter()
        chosen = [found.answers[row] for row in rows]
        for part in parts_of(chosen):
            losses = self.losses(found, rows[part.start : part.stop], found.mask[rows].sum())
            (losses["policy_loss"] + losses["value_loss"]).backward()
            told.update({name: loss.item() for name, loss in losses.items()})
        return told

    def losses(self, found: Experience, rows: list[int], tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        """These rows' part of the means over all `tokens` of a step."""
        models, recipe, pad = self.models, self.recipe, self.models.tokenizer.pad_token_id
        answers, steps = [found.answers[row] for row in rows], found.mask.shape[1]
        tensors = (found.mask, found.logprobs, found.values, found.advantages, found.returns)
        mask, old, expected, advantages, returns = (tensor[rows].to(models.policy.device) for tensor in tensors)
        logprobs = logprobs_of(*distributions(models.policy, answers, steps, pad))
        policy, held = ppo_math.policy_losses(logprobs, old, advantages, recipe.clip)
        values = values_of(models.value, answers, steps, pad)
        value = ppo_math.value_losses(values, expected, returns, recipe.value_clip)
        each = {"policy_loss": policy, "value_loss": value, "clip_fraction": held}
        return {name: (losses * mask).sum() / tokens for name, losses in each.items()}

    def rehearse(self, texts: list[Answer]) -> dict[str, float]:
        """Add γ times the gradients of the mean negative log-likelihood of a token; that mean."""
        told, pad = 0.0, self.models.tokenizer.pad_token_id
        total = sum(len(ids) for _, ids in texts)
        for part in parts_of(texts):
            some = texts[part.start : part.stop]
            mask = mask_of(some).to(self.models.policy.device)
            logprobs = logprobs_of(*distributions(self.models.policy, some, mask.shape[1], pad))
            loss = -(logprobs * mask).sum() / total
            (self.recipe.gamma * loss).backward()
            told += loss.item()
        return {"rehearsal_loss": told}

    def move(self) -> None:
        """One optimiser step along the gradients, each model's held to length 1."""
        for group in self.optimizer.param_groups:
            torch.nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    @torch.no_grad()
    def remember(self) -> None:
        """Let the average follow the policy by a round."""
        policy = trained(self.models.policy)
        for name, average in self.average.items():
            average.lerp_(policy[name], 1 - self.recipe.average)

    @torch.no_grad()
    def settle(self) -> None:
        """Make the policy what is to be published."""
        policy = trained(self.models.policy)
        for name, average in self.average.items():
            policy[name].copy_(average)

    def save(self, run: runs.Run, number: int) -> None:
        """A checkpoint of this round; of those before, only the newest stays."""
        before = checkpoint.newest(run.checkpoints)
        folder = run.checkpoints / f"checkpoint-{number}"
        folder.mkdir(parents=True)
        state = {name: trained(model) for name, model in self.models.learners()}
        state |= {"optimizer": self.optimizer.state_dict(), "beta": self.beta, "average": self.average}
        torch.save(state, folder / "state.pt")
        checkpoint.mark(folder)
        for old in set(run.checkpoints.glob("checkpoint-*")) - {folder, before}:
            shutil.rmtree(old)

    @torch.no_grad()
    def resume(self, run: runs.Run) -> int:
        """Go back to the newest complete checkpoint; the rounds that it has behind it, 0 without one."""
        folder = checkpoint.newest(run.checkpoints)
        if folder is None:
            return 0
        state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
        for name, model in self.models.learners():
            for key, parameter in trained(model).items():
                parameter.copy_(state[name][key])
        self.optimizer.load_state_dict(state["optimizer"])
        self.beta = state["beta"]
        for key, average in self.average.items():
            average.copy_(state["average"][key])
        number = int(folder.name.split("-")[1])
        events.log(f"Goes on from round {number}.")
        return number


def warmth(number: int) -> float:
    """The share of the learning rate in this round, from a tenth to all of it over the first ten (appendix C.4)."""
    return min(1.0, 0.1 + 0.9 * (number - 1) / 10)


# --- The figures ------------------------------------------------------------------------------------------------------


def examine(models: Models, prompts: list[dict], recipe: PPORecipe) -> list[dict]:
    """Mean reward now and at the start, and the divergence, on the same prompts with the same seeds."""
    asked = [prompt for split in ("train", "validation", "test") for prompt in first(prompts, split)]
    seeds = [row_seed(recipe.seed, prompt["prompt_id"], -1) for prompt in asked]
    now = write(models.policy, models.tokenizer, asked, seeds, recipe)
    with as_it_was(models.policy, models.reference) as model:
        before = write(model, models.tokenizer, asked, seeds, recipe)
    mask, logprobs, reference, *_ = read(models, [(list(sample.prompt), list(sample.ids)) for sample in now])
    kl = (ppo_math.token_kl(logprobs, reference) * mask).sum(1).tolist()
    told = {
        "reward": scores(models, asked, now, recipe),
        "start_reward": scores(models, asked, before, recipe),
        "kl": kl,
    }
    splits = [prompt["split"] for prompt in asked]
    return [
        figures.share(name, slice, part, [1] * len(part))
        for name, values in told.items()
        for slice, part in figures.sliced(splits, values)
    ]


def first(prompts: list[dict], split: str) -> list[dict]:
    return [prompt for prompt in prompts if prompt["split"] == split][:EXAMINED]


if __name__ == "__main__":
    train(run)
