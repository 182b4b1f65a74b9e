"""How many answers one forward pass reads: alike in length, so that padding is little, and few
enough for the memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch

UNLIKE = 1.25  # the longest row of a bucket over its shortest: at most a fifth of a pass is padding

Rows = list[int]


def buckets(lengths: list[int], budget: int) -> list[Rows]:
    """Row numbers in groups of similar length, shortest first, none of more than `budget` tokens if
    it has two rows.
    """
    groups: list[Rows] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        last = groups[-1] if groups else []
        alike = last and lengths[row] <= UNLIKE * lengths[last[0]]
        if alike and lengths[row] * (len(last) + 1) <= budget:
            last.append(row)
        else:
            groups.append([row])
    return groups


def in_order(lengths: list[int], budget: int) -> list[Rows]:
    """Row numbers in groups of at most `budget` tokens if they have two rows, in the order they are
    in.
    """
    groups: list[Rows] = []
    for row, length in enumerate(lengths):
        if groups and sum(lengths[other] for other in groups[-1]) + length <= budget:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def parts(lengths: list[int], budget: int) -> list[list[Rows]]:
    """The buckets in parts of at most `budget` tokens, or of one bucket; the largest part last."""

    def size(part: list[Rows]) -> int:
        return sum(len(rows) * lengths[rows[-1]] for rows in part)

    result: list[list[Rows]] = []
    for rows in buckets(lengths, budget):
        if result and size([*result[-1], rows]) <= budget:
            result[-1].append(rows)
        else:
            result.append([rows])
    return sorted(result, key=size)


def learn(
    forward: Callable[[list[Rows]], torch.Tensor],
    loss: Callable[[torch.Tensor], torch.Tensor],
    lengths: list[int],
    budget: int,
) -> torch.Tensor:
    """Run backward through loss(forward(all rows)), with no more than `budget` tokens' activations
    in memory at once.

    `forward` gives a value, or a row of them, for each row of the buckets it is asked for; the loss
    is returned. What fits the budget takes one pass. Else the rows go through without gradient
    first, all but the largest part; the loss's gradient with respect to each value is then carried
    into one part after another, read a second time (Gao et al. 2021). The second reading repeats
    the first one's random draws, so that dropout falls on the same places.
    """
    *early, last = parts(lengths, budget)
    states = []
    values = []
    with torch.no_grad():
        for part in early:
            states.append(random_state())
            values.append(forward(part))
    kept = forward(last)

    order = [row for part in [*early, last] for rows in part for row in rows]
    place = torch.tensor(order, device=kept.device).argsort()
    leaf = torch.cat([*values, kept.detach()]).requires_grad_()
    total = loss(leaf[place])
    total.backward()
    assert leaf.grad is not None  # it was just computed
    gradients = leaf.grad.split([len(value) for value in [*values, kept]])

    kept.backward(gradients[-1])
    for part, state, gradient in zip(early, states, gradients):
        with repeated(state):
            value = forward(part)
        value.backward(gradient)
    return total.detach()


def random_state() -> tuple[torch.Tensor, torch.Tensor | None]:
    """The generators that dropout draws from: the processor's, and the current GPU's."""
    return torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_available() else None


@contextlib.contextmanager
def repeated(state: tuple[torch.Tensor, torch.Tensor | None]) -> Iterator[None]:
    """Draw again what was drawn after random_state(); afterwards the generators go on where they
    were.
    """
    with torch.random.fork_rng():
        processor, gpu = state
        torch.set_rng_state(processor)
        if gpu is not None:
            torch.cuda.set_rng_state(gpu)
        yield
