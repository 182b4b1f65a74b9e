"""Whether β holds the divergence near its target, in a simulated run: a policy that is a table of
logits, in NumPy.

The simulated policy draws eight tokens of sixteen, each from a distribution of its own, and each
token is worth a fixed number. It learns as PPO does: whitened advantages, clipped steps, Adam, and
the trainer's own warm-up and β.
"""

import math
import statistics

import numpy as np
import pytest

from workers.trainers import ppo, ppo_math

pytestmark = pytest.mark.torch

STEPS, TOKENS, ANSWERS, BATCH = 8, 16, 64, 16
TARGET = 3.0
# Without control and with a small β, these learning rates take the divergence to twice the target
# and more.
RATES = {8: 0.22, 16: 0.085, 64: 0.04, 1000: 0.01}


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


class Table:
    """A policy of (steps, tokens) logits, with Adam's moments."""

    def __init__(self, random):
        self.logits = random.normal(size=(STEPS, TOKENS))
        self.start = np.log(softmax(self.logits))
        self.worth = random.normal(size=(STEPS, TOKENS)) / math.sqrt(STEPS)
        self.mean, self.square, self.count = 0.0, 0.0, 0

    def divergence(self):
        policy = softmax(self.logits)
        return float((policy * (np.log(policy) - self.start)).sum())

    def round(self, random, beta, rate):
        """Draw answers, learn from them; their mean divergence before that."""
        place, policy = np.arange(STEPS), softmax(self.logits)
        drawn = (
            (policy.cumsum(1)[None] < random.random((ANSWERS, STEPS, 1)))
            .sum(2)
            .clip(max=TOKENS - 1)
        )
        before = np.log(policy)[place, drawn]
        kl = before - self.start[place, drawn]
        rewards = -beta * kl
        scores = self.worth[place, drawn].sum(1)
        rewards[:, -1] += scores - scores.mean()
        advantages = rewards[:, ::-1].cumsum(1)[:, ::-1]
        advantages = (advantages - advantages.mean()) / advantages.std()
        for start in range(0, ANSWERS, BATCH):
            rows = slice(start, start + BATCH)
            self.step(drawn[rows], before[rows], advantages[rows], rate)
        return kl.sum(1).mean()

    def step(self, drawn, before, advantages, rate):
        place, policy = np.arange(STEPS), softmax(self.logits)
        ratio = policy[place, drawn] / np.exp(before)
        clipped = ((ratio > 1.2) & (advantages > 0)) | ((ratio < 0.8) & (advantages < 0))
        weight = np.where(clipped, 0, advantages * ratio) / drawn.size
        gradient = policy * weight.sum(0)[:, None]
        for step in range(STEPS):
            np.add.at(gradient[step], drawn[:, step], -weight[:, step])
        self.count += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.95 * self.square + 0.05 * gradient**2
        size = np.sqrt(self.square / (1 - 0.95**self.count)) + 1e-5
        self.logits = self.logits - rate * self.mean / (1 - 0.9**self.count) / size


def divergence(rounds, beta, seed, controlled=True):
    """The divergence after so many rounds, with β steered or left as it is."""
    random = np.random.default_rng(seed)
    policy, before = Table(random), 0.0
    for number in range(1, rounds + 1):
        kl = policy.round(random, beta, RATES[rounds] * ppo.warmth(number, rounds))
        if controlled:
            beta = ppo_math.next_beta(beta, kl, before, TARGET, number, rounds)
        before = kl
    return policy.divergence()


SEEDS = {8: range(6), 16: range(6), 64: range(3), 1000: range(1)}


@pytest.mark.parametrize("beta", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("rounds", [8, 16, 64, 1000])
def test_a_run_of_any_length_ends_near_the_target(rounds, beta):
    ends = [divergence(rounds, beta, seed) for seed in SEEDS[rounds]]
    assert 0.45 < statistics.mean(ends) / TARGET < 1.5
    assert max(ends) < 2 * TARGET


@pytest.mark.parametrize("rounds", [8, 16, 64])
def test_without_control_the_same_run_ends_far_from_it(rounds):
    for seed in SEEDS[rounds]:
        assert divergence(rounds, 0.05, seed, controlled=False) > 2 * TARGET
        assert divergence(rounds, 1.0, seed, controlled=False) < TARGET / 2


def test_a_thousand_rounds_move_beta_by_two_percent_at_most():
    for kl, before in ((100.0, 100.0), (0.0, 0.0)):
        moved = ppo_math.next_beta(1.0, kl, before, TARGET, 900, 1000)
        assert abs(math.log(moved)) == pytest.approx(0.02, rel=0.01)


def test_a_young_run_that_has_not_come_far_keeps_its_beta():
    assert ppo_math.next_beta(1.0, 0.0, 0.0, TARGET, 1, 16) == 1.0
    assert ppo_math.next_beta(1.0, 0.1, 0.1, TARGET, 9, 16) < 1.0


def test_beta_grows_before_the_target_is_passed_where_the_divergence_rises_towards_it():
    assert ppo_math.next_beta(1.0, 0.5 * TARGET, 0.2 * TARGET, TARGET, 4, 16) > 1.0
    assert ppo_math.next_beta(1.0, 0.5 * TARGET, 0.5 * TARGET, TARGET, 4, 16) == 1.0
