"""The one useful next step of a project: rules over its stations, no database."""

from __future__ import annotations

from labeling.loop.stations import Ring

ENOUGH = 200  # pairs from which freezing is worth it while tasks are still open


def next_step(ring: Ring) -> str:
    """The station whose step is the most useful now."""
    dataset = ring.unfrozen.newest
    if not ring.prompts.total:
        return "prompts"
    if ring.policies.champion is None and not ring.rankings.total:
        return "policy"
    if dataset and "reward" not in ring.trained_on:
        return "reward"
    if dataset and "policy" not in ring.trained_on:
        return "policy"
    if worth_freezing(ring):
        return "dataset"
    if ring.policies.version and not ring.policies.sampled and "sample" not in ring.busy:
        return "candidates"
    return "rankings" if ring.rankings.free or "sample" in ring.busy else "candidates"


def worth_freezing(ring: Ring) -> bool:
    fresh, still_open = ring.unfrozen.pairs, ring.rankings.free or "sample" in ring.busy
    return "freeze" not in ring.busy and (fresh >= ENOUGH or (fresh > 0 and not still_open))
