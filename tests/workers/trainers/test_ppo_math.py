"""PPO's equations, beside a transcription of them that goes token by token in plain NumPy."""

import math

import numpy as np
import pytest
import torch

from workers.trainers import ppo_math

pytestmark = pytest.mark.torch

LENGTHS, BETA, LAMBDA, CLIP, VALUE_CLIP = [5, 1, 3], 0.3, 0.9, 0.2, 0.4


@pytest.fixture
def drawn():
    """Random numbers of three answers: by name (answers, steps), and their scores (answers,)."""
    random = np.random.default_rng(1)
    names = ("new", "old", "reference", "values", "new_values")
    return {name: random.normal(size=(3, 5)) for name in names} | {"scores": random.normal(size=3)}


def by_hand(drawn):
    """(policy loss, value loss) of all tokens, equation by equation."""
    tokens = []
    for row, length in enumerate(LENGTHS):
        old, reference, values = (drawn[name][row] for name in ("old", "reference", "values"))
        rewards = [
            -BETA * (old[t] - reference[t]) for t in range(length)
        ]  # Ouyang et al. 2022, equation 2
        rewards[-1] += drawn["scores"][row]
        for t in range(length):  # Schulman et al. 2016, equation 16
            advantage = 0.0
            for l in range(length - t):
                after = values[t + l + 1] if t + l + 1 < length else 0.0
                advantage += LAMBDA**l * (rewards[t + l] + after - values[t + l])
            tokens.append((row, t, advantage))
    centre = np.mean([a for *_, a in tokens])
    spread = math.sqrt(np.mean([(a - centre) ** 2 for *_, a in tokens]) + 1e-8)
    policy, value = [], []
    for row, t, advantage in tokens:
        ratio = math.exp(drawn["new"][row, t] - drawn["old"][row, t])
        whitened = (advantage - centre) / spread
        held = min(max(ratio, 1 - CLIP), 1 + CLIP)
        policy.append(-min(ratio * whitened, held * whitened))  # Schulman et al. 2017, equation 7
        before, now = drawn["values"][row, t], drawn["new_values"][row, t]
        near = before + min(max(now - before, -VALUE_CLIP), VALUE_CLIP)
        goal = advantage + before
        value.append(max((now - goal) ** 2, (near - goal) ** 2) / 2)
    return np.mean(policy), np.mean(value)


def mask():
    return (torch.arange(5) < torch.tensor(LENGTHS)[:, None]).float()


def test_the_losses_are_those_of_the_equations(drawn):
    expected = by_hand(drawn)
    t = {name: torch.tensor(value, dtype=torch.float64) for name, value in drawn.items()}

    kl = ppo_math.token_kl(t["old"], t["reference"])
    rewards = ppo_math.token_rewards(t["scores"], kl, BETA, mask())
    found = ppo_math.advantages(rewards, t["values"], mask(), LAMBDA)
    policy, _ = ppo_math.policy_losses(t["new"], t["old"], ppo_math.whiten(found, mask()), CLIP)
    value = ppo_math.value_losses(t["new_values"], t["values"], found + t["values"], VALUE_CLIP)

    ours = [ppo_math.mean(losses, mask()).item() for losses in (policy, value)]
    assert ours == pytest.approx(expected, rel=1e-9)


def test_an_answers_rewards_add_up_to_its_score_less_its_divergence():
    kl, scores = torch.tensor([[0.5, -0.1, 9.0], [0.2, 9.0, 9.0]]), torch.tensor([2.0, -1.0])
    rewards = ppo_math.token_rewards(scores, kl, 0.1, torch.tensor([[1.0, 1, 0], [1, 0, 0]]))
    assert rewards.sum(1).tolist() == pytest.approx([2 - 0.04, -1 - 0.02])
    assert rewards[0, 2] == 0


def test_with_lambda_one_an_advantage_is_all_that_came_less_what_was_expected():
    rewards, values = torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[0.5, 0.25, 0.125]])
    found = ppo_math.advantages(rewards, values, torch.ones(1, 3), lam=1.0)
    assert found.tolist() == [[6.5, 5.75, 3.875]]


def test_whitened_numbers_have_mean_0_and_variance_1_and_rewards_keep_their_sign():
    values = torch.tensor([[1.0, 5.0, 9.0], [3.0, 0.0, 0.0]])
    mask = torch.tensor([[1.0, 1, 0], [1, 0, 0]])
    white, scaled = ppo_math.whiten(values, mask), ppo_math.whiten(values, mask, shift=False)
    assert (
        ppo_math.mean(white, mask).item(),
        ppo_math.variance(white, mask).item(),
    ) == pytest.approx((0, 1), abs=1e-6)
    assert (
        ppo_math.mean(scaled, mask).item(),
        ppo_math.variance(scaled, mask).item(),
    ) == pytest.approx((3, 1))
    assert white[1, 1] == scaled[0, 2] == 0


def test_the_clip_ends_the_gradient_only_where_it_would_go_further():
    ratio, advantages = torch.tensor([[1.5, 0.5, 1.5, 0.5]]), torch.tensor([[1.0, -1.0, -1.0, 1.0]])
    logprobs = ratio.log().requires_grad_()
    losses, held = ppo_math.policy_losses(logprobs, torch.zeros(1, 4), advantages, 0.2)
    losses.sum().backward()
    assert held.tolist() == [[True, True, False, False]]
    assert (logprobs.grad != 0).tolist() == [[False, False, True, True]]


def test_explained_variance_is_1_for_the_returns_and_0_for_a_constant():
    returns, mask = torch.tensor([[1.0, 2.0, 3.0]]), torch.ones(1, 3)
    assert ppo_math.explained_variance(returns, returns, mask) == 1
    assert ppo_math.explained_variance(torch.full((1, 3), 7.0), returns, mask) == 0


def test_the_entropy_of_equal_chances_is_the_logarithm_of_their_number():
    assert ppo_math.entropy(torch.zeros(2, 8)).tolist() == pytest.approx([math.log(8)] * 2)
