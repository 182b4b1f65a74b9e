"""Which round's policy is published: the one whose answers to held-out prompts score highest.

The policy is evaluated before the first round, and then every `eval_steps` rounds and after the
last one. What it scores on the prompts that it learns from is no guide: it rises as long as the
policy finds anything that the reward model likes.
"""

from __future__ import annotations

import dataclasses

import torch

from modelops.recipes import PPORecipe
from workers.engines.answers import Sample, row_seed
from workers.trainers import ppo_math
from workers.trainers.ppo_models import Models, read, scores, trained, write
from workers.trainers.run import events

EXAMINED = 64  # prompts of a split that are answered
SLOT = -2  # of the seeds, so that no evaluation draws what a round or the final figures do


@dataclasses.dataclass(frozen=True)
class Examined:
    """A policy's answers to some prompts, with their rewards and divergences (nats)."""

    samples: list[Sample]
    rewards: list[float]
    kl: list[float]


def examine(models: Models, prompts: list[dict], seeds: list[int], recipe: PPORecipe) -> Examined:
    """Let the policy of the moment answer the prompts."""
    samples = write(models.policy, models.tokenizer, prompts, seeds, recipe)
    mask, now, start, *_ = read(
        models, [(list(sample.prompt), list(sample.ids)) for sample in samples]
    )
    kl = (ppo_math.token_kl(now, start) * mask).sum(1).tolist()
    return Examined(samples, scores(models, prompts, samples, recipe), kl)


def first(prompts: list[dict], split: str) -> list[dict]:
    """The prompts of a split that are answered: rows lie in the order of their hashes, so the first
    are as drawn.
    """
    return [prompt for prompt in prompts if prompt["split"] == split][:EXAMINED]


class Choice:
    """The evaluations so far, and the weights of the best one."""

    def __init__(self, models: Models, prompts: list[dict], recipe: PPORecipe):
        self.models, self.recipe = models, recipe
        self.split, self.prompts = "", []
        if recipe.eval_steps:
            self.split = next(
                (split for split in ("validation", "test") if first(prompts, split)), ""
            )
            self.prompts = first(prompts, self.split)
        self.evaluations: list[dict] = []
        self.best: dict | None = None
        self.weights: dict[str, torch.Tensor] = {}

    def announce(self) -> None:
        """Say which prompts choose the round that is published."""
        if self.prompts:
            events.log(
                f"The best round is published, as {len(self.prompts)} prompts of the {self.split} "
                "split say."
            )
        elif self.recipe.eval_steps:
            events.log(
                "There is no held-out prompt to choose a round by: the last one is published."
            )
        if self.split == "test":
            events.log(
                "There is no validation prompt: the figures on the test prompts are of a round "
                "chosen on them."
            )

    def due(self, number: int, total: int) -> bool:
        """Whether the policy after round `number` is to be evaluated."""
        return bool(self.prompts) and (number % self.recipe.eval_steps == 0 or number == total)

    def evaluate(self, number: int) -> dict[str, float]:
        """Examine the policy as it is after round `number`, and keep its weights if it is the best
        so far.
        """
        seeds = [row_seed(self.recipe.seed, prompt["prompt_id"], SLOT) for prompt in self.prompts]
        examined = examine(self.models, self.prompts, seeds, self.recipe)
        reward, kl = (sum(values) / len(values) for values in (examined.rewards, examined.kl))
        evaluation = {"round": number, "reward": reward, "kl": kl}
        self.evaluations.append(evaluation)
        if self.admits(evaluation) and (self.best is None or reward > self.best["reward"]):
            self.best = evaluation
            self.weights = {
                name: value.detach().cpu().clone()
                for name, value in trained(self.models.policy).items()
            }
        return {"held_out_reward": reward, "held_out_kl": kl}

    def admits(self, evaluation: dict) -> bool:
        """Whether a policy may be published: it has not passed the stop."""
        return not self.recipe.kl_stop or evaluation["kl"] <= self.recipe.kl_stop

    @torch.no_grad()
    def settle(self, last: int) -> int:
        """Make the policy what is to be published, and say why; its round. `last` is the round that
        it has now.
        """
        if self.best is None:
            events.log(f"Publishes round {last}, the last one: no round was evaluated.")
            return last
        for name, parameter in trained(self.models.policy).items():
            parameter.copy_(self.weights[name])
        each = ", ".join(
            f"{evaluation['round']}: {evaluation['reward']:.4g} at {evaluation['kl']:.3g} nats"
            for evaluation in self.evaluations
        )
        events.log(
            f"Publishes round {self.best['round']}: its mean reward on {len(self.prompts)} prompts "
            f"of the {self.split} "
            f"split, {self.best['reward']:.4g}, is the highest of the evaluated rounds ({each})."
        )
        if self.best["round"] == 0:
            events.log(
                "That is the model that the run starts from: no round scored higher than it."
            )
        return self.best["round"]

    def state(self) -> dict:
        """What a checkpoint keeps."""
        return {"evaluations": self.evaluations, "best": self.best, "weights": self.weights}

    def restore(self, state: dict) -> None:
        self.evaluations, self.best, self.weights = (
            state[name] for name in ("evaluations", "best", "weights")
        )
