"""What a set of compared answers costs: the loss of the reward trainer, as pure functions of
scores.

With d = r(x, y_w) − r(x, y_l) and a margin m, x = d − m. A pair that was told apart costs −log P(w
> l), a tie −log P(w = l). Without a model of ties (Bradley and Terry 1952) P(w > l) = σ(x). With
one, τ being the chance that two equally good answers tie:

    Rao and Kupper 1967, θ = (1 + τ) / (1 − τ), η = log θ:
        P(w > l) = σ(x − η),  P(w = l) = (θ² − 1) σ(x − η) σ(−x − η)
    Davidson 1970, ν = 2τ / (1 − τ):   P(w > l) ∝ exp(x/2),  P(l > w) ∝ exp(−x/2),  P(w = l) ∝ ν
"""

from __future__ import annotations

import math

import torch
from torch.nn.functional import logsigmoid


def ranking_loss(
    scores: torch.Tensor,
    winners: torch.Tensor,
    losers: torch.Tensor,
    weights: torch.Tensor,
    margins: torch.Tensor | float = 0.0,
    tied: torch.Tensor | None = None,
    *,
    ties: str = "dropped",
    tie_share: float = 0.0,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """The weighted sum of the pairs' costs: scores (…, answers), the others (pairs,); the mean over
    what precedes answers.

    Margins are those of Touvron et al. 2023 (Llama 2), equation 2: −log σ(d − m). With `smoothing`
    ε a pair costs −(1 − ε) log P(w > l) − ε log P(l > w), as if a share ε of the judgments were
    turned round (Mitchell 2023).
    """
    ahead = scores[..., winners] - scores[..., losers] - margins
    won, lost, drawn = log_chances(ahead, ties, tie_share)
    costs = -(1 - smoothing) * won - smoothing * lost
    if tied is not None and drawn is not None:
        costs = torch.where(tied, -drawn, costs)
    return (costs @ weights).mean()


def log_chances(
    ahead: torch.Tensor, ties: str, share: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Logarithms of the chances that the first wins, loses and ties, at scores that lie `ahead`
    apart.
    """
    if ties == "rao-kupper":
        eta = math.log((1 + share) / (1 - share))
        won, lost = logsigmoid(ahead - eta), logsigmoid(-ahead - eta)
        return won, lost, won + lost + math.log(math.expm1(2 * eta))
    if ties == "davidson":
        level = torch.full_like(ahead, math.log(2 * share / (1 - share)))
        won, lost, drawn = torch.stack([ahead / 2, -ahead / 2, level]).log_softmax(0)
        return won, lost, drawn
    return logsigmoid(ahead), logsigmoid(-ahead), None
