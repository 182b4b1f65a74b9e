"""The one useful next step of a project: rules over its stations, no database."""

from __future__ import annotations

from labeling.loop.stations import LoopStatus

ENOUGH = 200  # pairs from which freezing is worth it while tasks are still open


def next_step(loop: LoopStatus) -> str:
    """The station whose step is the most useful now."""
    dataset = loop.unfrozen.newest
    if not loop.prompts.total:
        return "prompts"
    if loop.policies.champion is None and not loop.rankings.total:
        return "policy"
    if dataset and "reward" not in loop.trained_on:
        return "reward"
    if dataset and "policy" not in loop.trained_on:
        return "policy"
    if worth_freezing(loop):
        return "dataset"
    if loop.policies.version and not loop.policies.sampled and "sample" not in loop.busy:
        return "candidates"
    return "rankings" if loop.rankings.free or "sample" in loop.busy else "candidates"


def worth_freezing(loop: LoopStatus) -> bool:
    fresh, still_open = loop.unfrozen.pairs, loop.rankings.free or "sample" in loop.busy
    return "freeze" not in loop.busy and (fresh >= ENOUGH or (fresh > 0 and not still_open))
