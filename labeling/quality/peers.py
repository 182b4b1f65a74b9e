"""How people agree with each other in one project, by the newest of what they ranked: models,
scripts and judges of unknown kind are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from labeling.quality.recent import newest
from labeling.stats import agreement, bootstrap
from people.models import Project

NEWEST = 5_000  # rankings that each labeler's agreement is measured on
DRAWS = 500  # of an interval: enough for whole percents, quick enough for a page


@dataclass(frozen=True)
class Peer:
    """One person's agreement with the others who ranked the same tasks."""

    share: float  # of the pairs that both put in an order
    pairs: int  # times the other people who ordered them
    prompts: int
    low: float | None = None  # the 95 % interval; none of a single prompt
    high: float | None = None


def figures(project: Project) -> dict[UUID, Peer]:
    """Of each person whose rankings can be held against somebody else's, by the UUID of the judge:
    one query.
    """
    tasks = ((task.prompt, task.ranks) for task in newest(project, NEWEST))
    return {judge: _peer(counts) for judge, counts in agreement.by_judge(tasks).items() if counts}


def _peer(counts: list[tuple[int, int]]) -> Peer:
    pairs = sum(compared for _agreed, compared in counts)
    low = high = None
    if len(counts) > 1:
        low, high = bootstrap.interval(counts, draws=DRAWS)
    return Peer(bootstrap.ratio(counts), pairs, len(counts), low, high)
