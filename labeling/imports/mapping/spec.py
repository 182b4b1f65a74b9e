"""A mapping, checked and taken apart. The package's docstring lists the keys of its table."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from labeling.imports.mapping import paths
from labeling.imports.mapping.codes import Codes
from labeling.imports.mapping.paths import Steps

POSITIONS = "abcdefghi"  # what answers are called in tables of codes


class BadMapping(ValueError):
    """This is no mapping; the message says why, `key` where."""

    def __init__(self, message: str, key: str = ""):
        self.key = key
        super().__init__(f"{key}: {message}" if key else message)


@dataclass(frozen=True)
class Source:
    """Where a short text comes from: a field, or one value for all rows."""

    path: Steps | None = None
    value: str = ""
    prefix: str = ""
    codes: Codes | None = None


@dataclass(frozen=True)
class Content:
    """Where a text or turns come from."""

    paths: tuple[Steps, ...]
    form: str = "auto"
    marks: re.Pattern | None = None

    @property
    def name(self) -> str:
        return " + ".join(map(_name, self.paths))


@dataclass(frozen=True)
class Answer:
    """Where one answer comes from; without a `text` the item itself is the answer."""

    text: Content | None
    model: Source = Source()
    rank: Steps | None = None
    score: Steps | None = None
    rating: Steps | None = None
    flags: Steps | None = None
    optional: bool = False


@dataclass(frozen=True)
class Each:
    """A list of answers, and the list of their models beside it."""

    path: Steps
    answer: Answer
    models: Steps | None = None


@dataclass(frozen=True)
class Judgment:
    """Who judged, and where the verdict stands. `rule` is one of RULES."""

    rule: str
    kind: Source
    judge: Source
    name: str = ""
    each: Steps | None = None
    answers: tuple[int, ...] | None = None
    optional: bool = False
    path: Steps | None = None  # of the verdict, except in one_hot
    codes: Codes | None = None  # of winner, label
    by: str = ""
    one_hot: tuple[tuple[str, Steps], ...] = ()
    scale: tuple[float, float, float] = (0, 0, 0)  # where a wins, the tie, where b wins
    with_strength: bool = False
    higher: bool = True
    tolerance: float = 0.0
    outcome: Steps | None = None
    seconds: Steps | None = None
    strength: Steps | None = None
    ratings: Steps | None = None
    flags: Steps | None = None


@dataclass(frozen=True)
class Tree:
    """Where a message says which it is, which it answers, of which tree it is, and who speaks."""

    id: Steps
    parent: Steps
    of: Steps
    role: Steps


RULES = ("winner", "one_hot", "scale", "ranks", "scores", "label")  # of a judgment
ANSWERS_RULES = ("chosen", "rank", "score")  # what answers say of themselves
ABOUT = ("author", "use_case", "language", "source", "licence", "time")


@dataclass(frozen=True, eq=False)
class Mapping:
    """A checked mapping: `Mapping.parse(table)`, and `as_dict()` for the same table again."""

    table: dict = field(repr=False)
    name: str = ""
    label: str = ""
    about: str = ""
    hub: tuple[str, ...] = ()
    distinct: tuple[tuple[Steps, Codes | None], ...] = ()
    prompt: Content | None = None
    conversation: Content | None = None
    system: Steps | None = None
    history: Content | None = None
    turns: Steps | None = None
    demonstration: Content | None = None
    answers: tuple[Answer, ...] = ()  # columns, in their order
    each: Each | None = None
    preferred: bool = False  # the answers are chosen and rejected
    group: bool = False
    group_by: Steps | None = None
    tree: Tree | None = None
    shared: bool = False
    judgments: tuple[Judgment, ...] = ()
    fields: tuple[tuple[str, Source], ...] = ()  # ABOUT and split
    sensitive: Steps | None = None
    metadata: Steps | None = None
    keep: tuple[Steps, ...] = ()
    leave_out: tuple[Steps, ...] = ()
    only: tuple[tuple[Steps, Codes], ...] = ()
    pictures: tuple[Steps, ...] = ()
    refuse: str = ""
    paths: tuple[Steps, ...] = ()  # all that is read
    named: tuple[tuple[Steps, str], ...] = ()  # what a person would say is read, each with its role

    @classmethod
    def parse(cls, table: Any) -> Mapping:
        """The mapping that the table says. Raises BadMapping."""
        from labeling.imports.mapping import parsing

        return parsing.parse(table)

    def as_dict(self) -> dict:
        return copy.deepcopy(self.table)

    @cached_property
    def known(self) -> frozenset[Steps]:
        """The paths that are read, kept or left out."""
        return frozenset([*self.paths, *self.leave_out])

    @cached_property
    def _above(self) -> frozenset[Steps]:
        return frozenset(start for path in self.known for start in paths.prefixes(path))

    @cached_property
    def opened(self) -> frozenset[Steps]:
        """The paths at which JSON text is opened: something below is read."""
        return frozenset(path[:-1] for path in self.paths if len(path) > 1)

    def reads(self, path: str) -> bool:
        """Whether the field at this path is read, kept or left out.

        So is what lies below such a path, and a text above it: its JSON is opened.
        """
        steps = paths.steps(path)
        return steps in self._above or any(start in self.known for start in paths.prefixes(steps))

    @staticmethod
    def leaves(path: str) -> bool:
        """Whether it leaves the field behind unasked: `leave_out` says so itself, see reads()."""
        return False

    field = staticmethod(str)  # of a mapping, every field is listed under its own path

    def role(self, path: str) -> str:
        """What the field at this path is, in a few words; "" if it is not read."""
        if not self.reads(path):
            return ""
        steps = paths.steps(path)
        near = [
            (len(named), role)
            for named, role in self.named
            if paths.covers(named, steps) or paths.covers(steps, named)
        ]
        return max(near)[1] if near else ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and self.table == other.table

    def __hash__(self) -> int:
        return hash(json.dumps(self.table, sort_keys=True))


def _name(path: Steps) -> str:
    return paths.text(path) if path else "an item"
