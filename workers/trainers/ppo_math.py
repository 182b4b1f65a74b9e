"""The equations of PPO, as pure functions of tensors.

Tensors are (answers, steps), one step for each drawn token; `mask` is 1 at the tokens of an answer
and 0 after its end, and every answer has at least one. Log-probabilities are natural.
"""

from __future__ import annotations

import math

import torch

# Of next_beta(), chosen by simulation: tests/workers/trainers/test_ppo_control.py
AHEAD = 8
FARTHEST = 0.5
SWIFTEST = 2.5


def mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean () over the tokens of `values` (answers, steps)."""
    return (values * mask).sum() / mask.sum()


def variance(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The biased variance () over the tokens of `values` (answers, steps)."""
    return mean((values - mean(values, mask)) ** 2, mask)


def whiten(values: torch.Tensor, mask: torch.Tensor, shift: bool = True) -> torch.Tensor:
    """`values` (answers, steps) scaled to variance 1 over the tokens, and to mean 0 unless `shift`
    is false.

    Ziegler et al. 2019 (in their code): advantages are whitened, rewards only scaled.
    """
    centre = mean(values, mask)
    scaled = (values - centre) * torch.rsqrt(variance(values, mask) + 1e-8)
    return (scaled if shift else scaled + centre) * mask


def token_kl(logprobs: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """log π(y_t) − log π_ref(y_t) (answers, steps): its sum over an answer estimates KL(π ‖ π_ref)
    without bias.

    Ouyang et al. 2022, equation 2, the factor of β.
    """
    return logprobs - reference


def token_rewards(
    scores: torch.Tensor, kl: torch.Tensor, beta: float, mask: torch.Tensor
) -> torch.Tensor:
    """The reward of each token (answers, steps): −β kl_t, and an answer's score (answers,) at its
    last token.

    Ouyang et al. 2022, equation 2: summed over an answer, r(x, y) − β log(π(y|x) / π_ref(y|x)).
    """
    rewards = -beta * kl * mask
    last = mask.long().sum(1) - 1
    rewards[torch.arange(len(rewards)), last] += scores
    return rewards


def advantages(
    rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, lam: float
) -> torch.Tensor:
    """Generalised advantage estimates (answers, steps) without discount, 0 after an answer's end.

    Schulman et al. 2016, equation 16 with γ = 1: Σ_l λ^l δ_{t+l}, where δ_t = r_t + V_{t+1} − V_t
    and V is 0 after the end. Ouyang et al. 2022, appendix C.4: no discount.
    """
    estimates = torch.zeros_like(rewards)
    later = next_value = torch.zeros_like(rewards[:, 0])
    for step in reversed(range(rewards.shape[1])):
        delta = rewards[:, step] + next_value - values[:, step]
        later = (delta + lam * later) * mask[:, step]
        next_value = values[:, step] * mask[:, step]
        estimates[:, step] = later
    return estimates


def policy_losses(
    logprobs: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor, clip: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each token's loss, and where the clip decides it (both answers, steps).

    Schulman et al. 2017, equation 7, negated: −min(ρ A, clip(ρ, 1 − ε, 1 + ε) A), where ρ = π(y_t)
    / π_old(y_t).
    """
    ratio = (logprobs - old).exp()
    free, held = -advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip)
    return torch.maximum(free, held), held > free


def value_losses(
    values: torch.Tensor, old: torch.Tensor, returns: torch.Tensor, clip: float
) -> torch.Tensor:
    """Each token's loss (answers, steps): ½ max((V − R)², (V_old + clip(V − V_old, ±ε) − R)²).

    The baselines code of Schulman et al. 2017, described in Huang et al. 2022, detail 9.
    """
    held = old + (values - old).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns) ** 2, (held - returns) ** 2)


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """−Σ_v p(v) log p(v) of the distributions in `logits` (…, vocabulary): (…)."""
    logprobs = logits.log_softmax(-1)
    return -(logprobs.exp() * logprobs).sum(-1)


def explained_variance(
    values: torch.Tensor, returns: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """1 − Var(R − V) / Var(R) over the tokens: 1 where the values tell the returns, 0 where they
    tell nothing.
    """
    return 1 - variance(returns - values, mask) / variance(returns, mask).clamp(min=1e-12)


def next_beta(
    beta: float, kl: float, before: float, target: float, number: int, rounds: int
) -> float:
    """The β after round `number` of `rounds`, from an answer's mean KL (nats) in this round and in
    the one before.

    Ziegler et al. 2019, section 2.2, move β by at most 2 % a round, which takes thousands of rounds
    to matter. Here a thousand rounds move it so, and fewer move it the further. A divergence grows
    with the square of the way that the policy has come, evenly in its root d = √(KL / target), so
    what counts is where d is going: β grows as soon as d would be past 1 within a quarter of the
    rounds, and in the second half falls while d would not come to 1 within as many as are half of
    them (in the first, a small d says only that the run is young). At most AHEAD rounds are looked
    ahead. log β moves by a gain times the distance from 1, that at most FARTHEST; the gain is
    SWIFTEST up to 16 rounds, and falls with their number to 2 % a round.
    """
    d, d_before = math.sqrt(max(kl, 0.0) / target), math.sqrt(max(before, 0.0) / target)
    soon, late = (d + min(rounds / part, AHEAD) * (d - d_before) - 1 for part in (4, 2))
    error = 0.0
    if soon > 0:
        error = min(soon, FARTHEST)
    elif late < 0 and number >= rounds / 2:
        error = max(late, -FARTHEST)
    gain = max(SWIFTEST * min(1.0, 16 / rounds), 0.02 / FARTHEST)
    return beta * math.exp(gain * error)
