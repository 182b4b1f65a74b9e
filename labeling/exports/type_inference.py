"""The order of examples in JSON Lines, so that a reader that infers types from the beginning of a
file sees every type there.

`datasets.load_dataset` takes the columns and their types from the first 10 MB of JSON Lines. Where
a column is null there, or a list empty, or a turn without tool calls, it refuses whatever comes
later. So examples that show a new type after the first FIRST bytes are written before all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

FIRST = 4 * 2**20  # bytes of JSON; what is moved before them must fit into the same 10 MB


class Shape:
    """What the values at one place of the examples look like so far."""

    __slots__ = ("keys", "kinds", "parts", "whole")

    def __init__(self) -> None:
        self.kinds: set[type] = set()
        self.keys: set[str] = set()
        self.parts: dict[Any, Shape] = {}  # by key; those of a list by 0
        # whether everything fits here already: objects with different keys, or values of
        # different kinds, are read as JSON
        self.whole = False

    def learn(self, value: Any, is_example: bool = False) -> bool:
        """Take the value in. Whether it shows a type that was not known; null shows none."""
        if value is None or self.whole:
            return False
        kind = type(value)
        new = kind not in self.kinds
        if new:
            self.kinds.add(kind)
            self.whole = len(self.kinds) > 1 and self.kinds != {int, float}
        if kind is dict:
            return self._learn_object(value, new, is_example)
        if kind is list:
            item = self.parts.setdefault(0, Shape())
            return any([new, *map(item.learn, value)])
        return new

    def _learn_object(self, value: dict[str, Any], new: bool, is_example: bool) -> bool:
        if new:
            self.keys = set(value)
        elif self.keys != value.keys() and not is_example:
            self.whole = True
            return True
        parts = [self.parts.setdefault(name, Shape()).learn(part) for name, part in value.items()]
        return any([new, *parts])


def types_first(examples: Callable[[], Iterator[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """The examples in their order, after those that show a type late: usually none.

    `examples` is called twice, because the whole file has to be known before its first line.
    """
    late = _late(examples())
    yield from late.values()
    for place, example in enumerate(examples()):
        if place not in late:
            yield example


def _late(examples: Iterator[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The examples that show a type for the first time after FIRST bytes, by their place."""
    late: dict[int, dict[str, Any]] = {}
    shape, size, moved = Shape(), 0, 0
    for place, example in enumerate(examples):
        new = shape.learn(example, is_example=True)
        if size <= FIRST:
            size += len(orjson.dumps(example))
        elif new and moved <= FIRST:
            late[place] = example
            moved += len(orjson.dumps(example))
    return late
