"""What the loop's page shows of each station."""

from __future__ import annotations

from dataclasses import dataclass, field

from modelops.models import Dataset, Job, Metric, ModelVersion

MOST_PAIRS = 2000  # rankings whose pairs are counted one by one; beyond, the page says "more than"


@dataclass
class Prompts:
    total: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    demonstrations: int = 0


@dataclass
class Candidates:
    total: int = 0
    job: Job | None = None  # the newest sampling job
    round: int = 1


@dataclass
class Rankings:
    total: int = 0
    people: int = 0
    tasks: int = 0
    places: int = 0
    free: int = 0
    ties: float | None = None
    agreement: float | None = None
    plus_minus: float | None = None
    judge_kinds: dict[str, int] = field(default_factory=dict)  # of the total

    @property
    def by_others(self) -> int:
        """Rankings by no person: they do not enter agreement and ties."""
        return self.total - self.judge_kinds.get("person", 0)

    @property
    def filled(self) -> int:
        return self.places - self.free


@dataclass
class Unfrozen:
    pairs: int = 0
    rankings: int = 0
    newest: Dataset | None = None

    @property
    def more(self) -> bool:
        return self.rankings > MOST_PAIRS


@dataclass
class Rewards:
    version: ModelVersion | None = None
    accuracy: Metric | None = None
    longer: Metric | None = None


@dataclass
class Policies:
    version: ModelVersion | None = None  # the newest that a job here made
    champion: ModelVersion | None = None
    made: int = 0
    sampled: bool = False  # whether the newest has answered prompts already


@dataclass
class LoopStatus:
    prompts: Prompts
    candidates: Candidates
    rankings: Rankings
    unfrozen: Unfrozen
    rewards: Rewards
    policies: Policies
    busy: set[str] = field(default_factory=set)  # kinds of jobs that wait or run
    trained_on: set[str] = field(
        default_factory=set
    )  # kinds of models made, or being made, of the newest dataset
    next: str = ""
