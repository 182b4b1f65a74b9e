"""Fine-tune a policy on a reward model: `python -m workers.trainers.ppo RUN/recipe.json`.

PPO-ptx as in Ouyang et al. 2022 (section 3.5, equation 2, appendix C.4). In each round the policy
answers prompts, the reward model scores the answers, every token costs β times its divergence from
the model that the run starts from, and clipped steps (Schulman et al. 2017) follow the advantages
over what a value model expects. With a rehearsal dataset, the pretraining mix, γ times its
log-likelihood is part of the objective. The equations are in ppo_math.py, the models in
ppo_models.py. The paper's moving average of the weights is a setting, off at first: it is for
hundreds of rounds. The result is not the last policy but the one that scores highest on held-out
prompts (ppo_choice.py); a collapse is shown in the figures of each round, and in the log
(ppo_collapse.py).

Every random choice is a function of the recipe's seed and of the number of its round or answer. So
a checkpoint of the weights, the optimiser, β and the evaluations, which counts the rounds in its
name, holds every random state there is.
"""

from __future__ import annotations

from workers.trainers.run import runs

if __name__ == "__main__":
    run = runs.begin("ppo")  # before the imports below, see there

import dataclasses
import math
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from modelops.recipes import PPORecipe
from modelops.rows import has_ended
from workers.engines.answers import Sample, row_seed
from workers.modeling import tokens
from workers.modeling.processes import processes
from workers.trainers import ppo_choice, ppo_math
from workers.trainers.data import targets, truncation
from workers.trainers.data.targets import Example
from workers.trainers.ppo_choice import Choice
from workers.trainers.ppo_collapse import Watch, repetition
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
    recomputing,
    scores,
    trained,
    values_of,
    write,
)
from workers.trainers.run import checkpoints, events, loop, marks, metrics
from workers.trainers.run.events import Stop

# Where one of these is no number, the weights are lost.
LEARNED = ("policy_loss", "value_loss", "grad_norm", "value_grad_norm")


def train(run: runs.Run) -> None:
    """Everything from the frozen rows to the published model."""
    # 1. The prompts, and what is rehearsed.
    run = truncation.within_context(run)
    recipe = checked(run)
    prompts = prompts_of(run.rows())
    to_answer = [prompt for prompt in prompts if prompt["split"] == "train"]
    if not to_answer:
        raise Stop("No prompt in the training split: freeze a dataset that has some.")
    lost = truncation.fit_prompts(run, prompts)
    rehearsed, cut = rehearsal(run, tokens.load_tokenizer(run.model))
    models = load(run)
    events.log(
        f"Computes in {str(loop.best_dtype()).removeprefix('torch.')} on {loop.best_device()}."
    )

    # 2. What learns and what was said of it, as it was when the last complete checkpoint was
    # written.
    total = rounds(recipe, len(to_answer))
    learner, choice, watch = (
        Learner(models, recipe, total),
        Choice(models, prompts, recipe),
        Watch(),
    )
    past: events.Past = []
    choice.announce()
    done = last = resume(run, learner, choice, watch, past)
    events.emit("start", total=total)
    schedule = checkpoints.Schedule(recipe.save_steps, recipe.save_minutes)
    if done == 0 and choice.prompts:
        choice.evaluate(0)

    # 3. Rounds: answer, score, learn; now and then, see what the policy's answers to held-out
    # prompts score.
    for number in range(done + 1, total + 1):
        places = range((number - 1) * recipe.rollouts, number * recipe.rollouts)
        asked = in_turn(to_answer, places, recipe.seed)
        seeds = [
            row_seed(recipe.seed, prompt["prompt_id"], place)
            for prompt, place in zip(asked, places)
        ]
        samples = write(models.policy, models.tokenizer, asked, seeds, recipe)
        if number == 1:
            refuse_all_cut(samples, recipe)
        round_experience = experience(models, asked, samples, learner.beta, recipe)
        watch.look(number, round_experience.figures, recipe.penalise_cut)
        if passes_stop(round_experience.figures["kl"], number, total, recipe):
            events.emit("step", step=number, total=total, metrics=round_experience.figures)
            break
        figures = round_experience.figures | learner.learn(round_experience, rehearsed, number)
        loop.refuse_nan(number, {name: figures[name] for name in LEARNED}, run.checkpoints)
        last = number
        if choice.due(number, total):
            with learner.as_published():
                figures |= choice.evaluate(number)
        events.emit("step", step=number, total=total, metrics=figures)
        past.append((number, {name: float(value) for name, value in figures.items()}))
        if schedule.is_due(number) or number == total:
            save(run, number, learner, choice, watch, past)
            schedule.wrote()

    # 4. The best policy, its figures, and the result.
    learner.settle()
    chosen = choice.settle(last)

    def measure(policy: PreTrainedModel) -> list[dict]:
        start = loop.in_float32(type(policy), run.model)
        measured = dataclasses.replace(models, policy=policy, reference=start)
        return [
            *results(measured, prompts, recipe),
            metrics.plain("published_round", "", chosen),
            *lost,
            *cut,
        ]

    loop.publish(models.policy, models.tokenizer, run, measure)


# --- What there is to do --------------------------------------------------------------------------


def checked(run: runs.Run) -> PPORecipe:
    """The run's recipe. Raises Stop where it or the run's models can't be used."""
    if processes() > 1:
        raise Stop("PPO learns in a single process: start it with one device.")
    if run.recipe.max_tokens >= run.recipe.max_length:
        raise Stop(
            "The recipe's setting max_tokens leaves no room for a prompt: it must be below "
            "max_length."
        )
    if loop.best_dtype() == torch.float16:
        raise Stop("PPO computes in float32 or bfloat16: choose one of them.")
    if AutoConfig.from_pretrained(run.model, local_files_only=True).is_encoder_decoder:
        raise Stop("PPO trains decoder-only models: choose one, or fine-tune this one with SFT.")
    if "reward_model" not in run.others:
        raise Stop("PPO needs a reward model: name its folder in the recipe, under others.")
    return run.recipe


def prompts_of(rows: list[dict]) -> list[dict]:
    """{prompt_id, split, messages} of each prompt once. Raises Stop at a broken row."""
    prompts = {}
    for number, row in enumerate(rows, start=1):
        try:
            prompts[row["prompt_id"]] = {
                name: row[name] for name in ("prompt_id", "split", "messages")
            }
        except (KeyError, TypeError):
            raise Stop(
                f"Row {number} of the dataset holds no prompt: choose prompts or judgments."
            ) from None
    return list(prompts.values())


def rehearsal(run: runs.Run, tokenizer: PreTrainedTokenizerBase) -> tuple[list[Answer], list[dict]]:
    """The training split of the rehearsal dataset, texts or demonstrations; none without one, or
    with γ = 0.

    With them the figures of the answers that the sampler had cut.
    """
    folder = run.others.get("rehearsal")
    if folder is None or run.recipe.gamma == 0:
        return [], []
    texts = []
    for number, row in enumerate(dataclasses.replace(run, dataset=folder).rows(), start=1):
        try:
            if row.get("split", "train") == "train":
                texts.append(Example(row.get("messages", []), row["text"], "train", has_ended(row)))
        except (KeyError, TypeError, AttributeError):
            raise Stop(
                f"Row {number} of the rehearsal dataset holds no text: choose another dataset."
            ) from None
    [parts], lost = targets.fit(run, tokenizer, [texts])
    events.log(f"Rehearses {len(texts)} texts.")
    cut = [figure for figure in lost if figure["name"] == "sampler_cut"]
    return [piece for pieces in parts for piece in pieces if piece[1]], cut


def rounds(recipe: PPORecipe, prompts: int) -> int:
    """How many rounds a recipe takes over so many prompts."""
    by_epochs = math.ceil(recipe.epochs * prompts / recipe.rollouts)
    return min(by_epochs, recipe.max_steps) if recipe.max_steps else by_epochs


def refuse_all_cut(samples: list[Sample], recipe: PPORecipe) -> None:
    """Raises Stop where each answer of the first round was cut and would be penalised: nothing
    tells them apart.
    """
    if recipe.penalise_cut and not any(sample.ended for sample in samples):
        raise Stop(
            f"None of the first round's {len(samples)} answers ended within max_tokens "
            f"({recipe.max_tokens}), so that "
            "all would be penalised alike: raise max_tokens, or switch penalise_cut off."
        )


def passes_stop(kl: float, number: int, total: int, recipe: PPORecipe) -> bool:
    """Whether the run ends here: an answer's mean divergence has passed the recipe's bound."""
    if not recipe.kl_stop or kl <= recipe.kl_stop:
        return False
    events.log(
        f"Stops at round {number} of {total}: the mean divergence of its answers, {kl:.3g} nats, "
        "is past kl_stop, "
        f"{recipe.kl_stop:g}. Nothing is learned from this round."
    )
    return True


def in_turn(items: list, places: range, *seed: object) -> list:
    """The items at `places` of an endless row of passes over all of them, each pass in an order of
    its own.
    """
    passes = {place // len(items) for place in places}
    orders = {number: shuffled(len(items), *seed, number) for number in passes}
    return [items[orders[place // len(items)][place % len(items)]] for place in places]


def shuffled(count: int, *seed: object) -> list[int]:
    """0 … count − 1 in an order that depends on the seed alone."""
    return random.Random(repr(seed)).sample(range(count), count)


# --- A round --------------------------------------------------------------------------------------


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
    answer_scores = torch.tensor(scores(models, prompts, samples, recipe))
    mask, logprobs, reference, entropy, values = read(models, answers)
    kl = ppo_math.token_kl(logprobs, reference) * mask
    rewards = ppo_math.token_rewards(answer_scores, kl, beta, mask)
    if recipe.whiten_rewards:
        rewards = ppo_math.whiten(rewards, mask, shift=False)
    advantages = ppo_math.advantages(rewards, values, mask, recipe.gae_lambda)
    returns = advantages + values
    figures = {
        "reward": answer_scores.mean().item(),
        "reward_spread": answer_scores.std(unbiased=False).item(),
        "kl": kl.sum(1).mean().item(),
        "beta": beta,
        "entropy": ppo_math.mean(entropy, mask).item(),
        "explained_variance": ppo_math.explained_variance(values, returns, mask).item(),
        "answer_tokens": mask.sum(1).mean().item(),
        "cut_share": sum(not sample.ended for sample in samples) / len(samples),
        **repetition(samples),
    }
    return Experience(
        answers, mask, logprobs, values, ppo_math.whiten(advantages, mask), returns, figures
    )


# --- Learning -------------------------------------------------------------------------------------


class Learner:
    """The policy and the value model, their optimiser, β, and the average of the policies if one is
    asked for.
    """

    def __init__(self, models: Models, recipe: PPORecipe, rounds: int):
        self.models, self.recipe, self.rounds = models, recipe, rounds
        self.beta, self.kl_before = recipe.beta, 0.0
        self.peaks = (recipe.learning_rate, recipe.value_learning_rate)
        groups = [
            {"params": list(trained(model).values())} for model in (models.policy, models.value)
        ]
        averaged = trained(models.policy) if recipe.average else {}
        self.average = {name: parameter.detach().clone() for name, parameter in averaged.items()}
        self.optimizer = torch.optim.Adam(
            groups, betas=(0.9, 0.95), eps=1e-5
        )  # the paper's; ε: Huang et al. 2022

    def learn(
        self, experience: Experience, rehearsed: list[Answer], number: int
    ) -> dict[str, float]:
        """A round's optimiser steps; what they cost, averaged over them. Then β follows the
        divergence.
        """
        for group, peak in zip(self.optimizer.param_groups, self.peaks):
            group["lr"] = peak * warmth(number, self.rounds)
        sums: Counter = Counter()
        batches = list(self.batches(len(experience.answers), number))
        for place, rows in enumerate(loop.with_progress(batches, "Learns from the answers, step")):
            sums.update(self.step(experience, rows))
            sums.update(self.hold())
            if rehearsed:
                count = self.recipe.batch
                first = ((number - 1) * len(batches) + place) * count
                texts = in_turn(
                    rehearsed, range(first, first + count), self.recipe.seed, "rehearsal"
                )
                with self.beside():
                    sums.update(self.rehearse(texts))
            self.move()
        self.remember()
        if self.recipe.kl_target:
            self.steer(experience.figures["kl"], number)
        return {name: value / len(batches) for name, value in sums.items()}

    def steer(self, kl: float, number: int) -> None:
        """Let β follow the divergence of the answers to round `number`."""
        self.beta = ppo_math.next_beta(
            self.beta, kl, self.kl_before, self.recipe.kl_target, number, self.rounds
        )
        self.kl_before = kl

    def batches(self, count: int, number: int) -> Iterator[list[int]]:
        for again in range(self.recipe.inner_epochs):
            order = shuffled(count, self.recipe.seed, number, again)
            yield from (
                order[start : start + self.recipe.batch]
                for start in range(0, count, self.recipe.batch)
            )

    def step(self, experience: Experience, rows: list[int]) -> dict[str, float]:
        """Add the gradients of one step over these rows of a round; the losses.

        The policy's activations are gone before the value model is read: memory holds those of one
        model.
        """
        losses: Counter = Counter()
        chosen = [experience.answers[row] for row in rows]
        count = experience.mask[rows].sum()
        for part in parts_of(chosen, self.models.tokens_at_once):
            mine = rows[part.start : part.stop]
            losses.update(self.backward(self.policy_losses(experience, mine), "policy_loss", count))
            losses.update(self.backward(self.value_losses(experience, mine), "value_loss", count))
        return losses

    def backward(
        self, losses: dict[str, torch.Tensor], learned: str, count: torch.Tensor
    ) -> dict[str, float]:
        """Add the gradients of the loss `learned`; of each, its part of the mean over all `count`
        tokens of a step.
        """
        (losses[learned] / count).backward()
        return {name: (loss.detach() / count).item() for name, loss in losses.items()}

    def policy_losses(self, experience: Experience, rows: list[int]) -> dict[str, torch.Tensor]:
        """The policy's loss on these rows, and where the clip decides it; sums over tokens."""
        models, pad, steps = (
            self.models,
            self.models.tokenizer.pad_token_id,
            experience.mask.shape[1],
        )
        tensors = (experience.mask, experience.logprobs, experience.advantages)
        mask, old, advantages = (tensor[rows].to(models.policy.device) for tensor in tensors)
        with recomputing(models.policy, self.recipe):
            logprobs = logprobs_of(
                *distributions(models.policy, [experience.answers[row] for row in rows], steps, pad)
            )
        losses, held = ppo_math.policy_losses(logprobs, old, advantages, self.recipe.clip)
        return {"policy_loss": (losses * mask).sum(), "clip_fraction": (held * mask).sum()}

    def value_losses(self, experience: Experience, rows: list[int]) -> dict[str, torch.Tensor]:
        """The value model's loss on these rows: the sum over their tokens."""
        models, pad, steps = (
            self.models,
            self.models.tokenizer.pad_token_id,
            experience.mask.shape[1],
        )
        tensors = (experience.mask, experience.values, experience.returns)
        mask, expected, returns = (tensor[rows].to(models.value.device) for tensor in tensors)
        with recomputing(models.value, self.recipe):
            values = values_of(models.value, [experience.answers[row] for row in rows], steps, pad)
        losses = ppo_math.value_losses(values, expected, returns, self.recipe.value_clip)
        return {"value_loss": (losses * mask).sum()}

    def rehearse(self, texts: list[Answer]) -> dict[str, float]:
        """Add γ times the gradients of the mean negative log-likelihood of a token; that mean."""
        mean_loss, pad = 0.0, self.models.tokenizer.pad_token_id
        total = sum(len(ids) for _, ids in texts)
        for part in parts_of(texts, self.models.tokens_at_once):
            some = texts[part.start : part.stop]
            mask = mask_of(some).to(self.models.policy.device)
            with recomputing(self.models.policy, self.recipe):
                logprobs = logprobs_of(*distributions(self.models.policy, some, mask.shape[1], pad))
            loss = -(logprobs * mask).sum() / total
            (self.recipe.gamma * loss).backward()
            mean_loss += loss.item()
        return {"rehearsal_loss": mean_loss}

    def hold(self) -> dict[str, float]:
        """Hold the gradients of each model to length 1; how long they were."""
        groups = (group["params"] for group in self.optimizer.param_groups)
        lengths = [torch.nn.utils.clip_grad_norm_(parameters, 1.0).item() for parameters in groups]
        return dict(zip(("grad_norm", "value_grad_norm"), lengths))

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Gradients that are added meanwhile to the policy's are held to length 1 by themselves.

        Held together with those of the reward, the pretraining mix, which γ makes much the longer,
        would leave nothing of them.
        """
        policy = list(trained(self.models.policy).values())
        kept = [parameter.grad for parameter in policy]
        for parameter in policy:
            parameter.grad = None
        yield
        torch.nn.utils.clip_grad_norm_(policy, 1.0)
        for parameter, gradient in zip(policy, kept):
            parameter.grad = summed(parameter.grad, gradient)

    def move(self) -> None:
        """One optimiser step along the gradients."""
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

    @contextmanager
    def as_published(self) -> Iterator[None]:
        """The policy is meanwhile what would be published: the average of the policies where one is
        asked for.
        """
        policy = trained(self.models.policy)
        kept = {name: policy[name].detach().clone() for name in self.average}
        self.settle()
        yield
        with torch.no_grad():
            for name, weights in kept.items():
                policy[name].copy_(weights)

    def state(self) -> dict:
        """What a checkpoint keeps."""
        weights = {name: trained(model) for name, model in self.models.learners()}
        rest = {
            "optimizer": self.optimizer.state_dict(),
            "beta": self.beta,
            "average": self.average,
        }
        return weights | rest | {"kl_before": self.kl_before}

    @torch.no_grad()
    def restore(self, state: dict) -> None:
        for name, model in self.models.learners():
            for key, parameter in trained(model).items():
                parameter.copy_(state[name][key])
        self.optimizer.load_state_dict(state["optimizer"])
        self.beta, self.kl_before = state["beta"], state.get("kl_before", 0.0)
        for key, average in self.average.items():
            average.copy_(state["average"][key])


def summed(*gradients: torch.Tensor | None) -> torch.Tensor | None:
    """The sum of those that there are."""
    present = [gradient for gradient in gradients if gradient is not None]
    return sum(present[1:], start=present[0]) if present else None


def warmth(number: int, rounds: int) -> float:
    """The share of the learning rate in this round: from a tenth to all of it over ten rounds
    (appendix C.4).

    Of fewer than forty rounds it takes a quarter: the paper has hundreds.
    """
    return min(1.0, 0.1 + 0.9 * (number - 1) / min(10, rounds / 4))


# --- Checkpoints ----------------------------------------------------------------------------------


def save(
    run: runs.Run, number: int, learner: Learner, choice: Choice, watch: Watch, past: events.Past
) -> None:
    """A checkpoint of this round; of those before, only the newest stays."""
    before = marks.newest(run.checkpoints)
    folder = run.checkpoints / f"checkpoint-{number}"
    folder.mkdir(parents=True)
    others = {"choice": choice.state(), "watch": watch.state(), "past": past}
    torch.save(learner.state() | others, folder / "state.pt")
    marks.mark(folder)
    for old in set(run.checkpoints.glob("checkpoint-*")) - {folder, before}:
        shutil.rmtree(old)


def resume(run: runs.Run, learner: Learner, choice: Choice, watch: Watch, past: events.Past) -> int:
    """Go back to the newest complete checkpoint; the rounds that it has behind it, 0 without one.
    Their figures are told again.

    One of an earlier Podium has no evaluations: those of the rounds to come decide then.
    """
    folder = marks.newest(run.checkpoints)
    if folder is None:
        return 0
    state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    learner.restore(state)
    for part, name in ((choice, "choice"), (watch, "watch")):
        if name in state:
            part.restore(state[name])
    past += state.get("past", [])
    events.tell_past(past)
    number = int(folder.name.split("-")[1])
    events.log(f"Goes on from round {number}.")
    return number


# --- The figures ----------------------------------------------------------------------------------


def results(models: Models, prompts: list[dict], recipe: PPORecipe) -> list[dict]:
    """Mean reward now and at the start, and the divergence, on the same prompts with the same
    seeds.
    """
    asked = [
        prompt
        for split in ("train", "validation", "test")
        for prompt in ppo_choice.first(prompts, split)
    ]
    seeds = [row_seed(recipe.seed, prompt["prompt_id"], -1) for prompt in asked]
    now = ppo_choice.examine(models, asked, seeds, recipe)
    with as_it_was(models.policy, models.reference) as model:
        before = write(model, models.tokenizer, asked, seeds, recipe)
    figures = {
        "reward": now.rewards,
        "start_reward": scores(models, asked, before, recipe),
        "kl": now.kl,
    }
    splits = [prompt["split"] for prompt in asked]
    return [
        metrics.share(name, slice, part, [1] * len(part))
        for name, values in figures.items()
        for slice, part in metrics.sliced(splits, values)
    ]


if __name__ == "__main__":
    train(run)
