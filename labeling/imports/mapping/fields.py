"""The table of a file's fields, and which of them nothing reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from labeling.imports.mapping import paths
from labeling.imports.mapping.codes import absent
from labeling.imports.mapping.paths import EVERY, Steps

MOST_PATHS = 2_000
MOST_SHAPES = 5_000  # remembered before they are added up
EXAMPLES, EXAMPLE = 3, 120  # examples of a field; characters of each
CONTENT = ("text", "number", "boolean", "other")  # what must not be lost in silence


@dataclass(frozen=True)
class Field:
    """A field: its path, the types of what stands there, the share of rows that have it, and
    examples. A list or object is a field too; `text`, `number`, `boolean` and `other` are values.
    """

    path: str
    types: tuple[str, ...]
    share: float
    examples: tuple[str, ...] = ()
    unlisted: int = 0  # rows with fields below it that are not listed, because there are too many

    @property
    def holds(self) -> bool:
        """Whether something stands here that must not be lost: a value, or too much."""
        return bool(self.unlisted) or any(kind in CONTENT for kind in self.types)


@dataclass
class _Counted:
    rows: int = 0
    types: set[str] = field(default_factory=set)
    examples: list[str] = field(default_factory=list)
    unlisted: int = 0


Shape = Any  # a name of a type, or (list or dict, shapes)


class FieldTable:
    """The fields of rows that are added one by one, in bounded memory.

    Rows of the same shape are counted together; examples come from the first of each shape. JSON
    that stands as text at one of the paths `opened` is read into.
    """

    def __init__(self, opened: Iterable[Steps] = ()):
        self.rows = 0
        self._opened: dict[Any, dict] = {}
        for path in opened:
            place = self._opened
            for step in path:
                place = place.setdefault(step, {})
        self._shapes: Counter[Shape] = Counter()
        self._counted: dict[Steps, _Counted] = {}

    def add(self, value: Any) -> None:
        """Count the fields of one row."""
        self.rows += 1
        if self._opened:
            value = _opened_along(value, self._opened)
        shape = _shape(value)
        count = self._shapes[shape]
        self._shapes[shape] = count + 1
        if count < EXAMPLES:
            if not count and len(self._shapes) >= MOST_SHAPES:
                self._add_up()
            self._note_examples(value)

    def fields(self) -> list[Field]:
        """The fields, in the order in which they were first seen."""
        self._add_up()
        return [
            Field(
                paths.text(path),
                tuple(sorted(counted.types)),
                counted.rows / self.rows,
                tuple(counted.examples),
                counted.unlisted,
            )
            for path, counted in self._counted.items()
        ]

    def _add_up(self) -> None:
        for shape, rows in self._shapes.items():
            seen: dict[Steps, set[str]] = {}
            _walk(shape, (), seen)
            charged: set[Steps] = set()
            for path, types in seen.items():
                counted = self._at(path)
                if counted is None:
                    charged.add(self._listed_above(path))
                    continue
                counted.rows += rows
                counted.types |= types
            for path in charged:
                if path:
                    self._counted[path].unlisted += rows
        self._shapes.clear()

    def _at(self, path: Steps) -> _Counted | None:
        """The counts of a path; None where the table is full."""
        if path not in self._counted:
            if len(self._counted) >= MOST_PATHS:
                return None
            self._counted[path] = _Counted()
        return self._counted[path]

    def _listed_above(self, path: Steps) -> Steps:
        """The longest listed beginning of a path; where there is none, the first field."""
        for end in range(len(path) - 1, 0, -1):
            if path[:end] in self._counted:
                return path[:end]
        return next(iter(self._counted), ())

    def _note_examples(self, value: Any) -> None:
        for path, standing in _leaves(value, ()):
            counted = None
            for start in paths.prefixes(path):
                counted = self._at(start)
            if counted is None or len(counted.examples) >= EXAMPLES:
                continue
            example = standing if isinstance(standing, str) else json.dumps(standing, default=str)
            example = example[:EXAMPLE]
            if example not in counted.examples:
                counted.examples.append(example)


def fields(rows: Iterable[Any], opened: Iterable[Steps] = ()) -> list[Field]:
    """The fields of these values of rows, see FieldTable."""
    table = FieldTable(opened)
    for value in rows:
        table.add(value)
    return table.fields()


def _opened_along(value: Any, along: dict[Any, dict]) -> Any:
    """The value with the JSON texts at these places read."""
    if isinstance(value, str):
        inner = paths.opened(value)
        return value if inner is None else _opened_along(inner, along)
    if isinstance(value, dict):
        return {
            name: _opened_along(inner, along[name]) if name in along else inner
            for name, inner in value.items()
        }
    if isinstance(value, list):
        every = along.get(EVERY, {})
        return [
            _opened_along(item, below) if (below := {**every, **along.get(place, {})}) else item
            for place, item in enumerate(value)
        ]
    return value


_NAMES = {bool: "boolean", int: "number", float: "number", type(None): None}


def _shape(value: Any) -> Shape:
    """What the value looks like: equal for values with the same fields of the same types."""
    kind = type(value)
    if kind is str:
        return "text" if value else None
    if kind is dict:
        return (dict, tuple([(name, _shape(inner)) for name, inner in value.items()]))
    if kind is list:
        return (list, frozenset([_shape(inner) for inner in value]))
    if kind is float and value != value:
        return None
    return _NAMES.get(kind, "other")


def _walk(shape: Shape, path: Steps, seen: dict[Steps, set[str]]) -> None:
    """Note the types at each path of a shape."""
    if shape is None or isinstance(shape, str):
        if path:  # a row that is no object or list has no fields
            seen.setdefault(path, set()).update({shape} if shape else ())
        return
    container, inner = shape
    if path:
        seen.setdefault(path, set()).add("object" if container is dict else "list")
    if container is dict:
        for name, below in inner:
            _walk(below, (*path, name), seen)
    else:
        for below in inner:
            _walk(below, (*path, EVERY), seen)


def _leaves(value: Any, path: Steps) -> Iterable[tuple[Steps, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif isinstance(value, list):
        for inner in value[:EXAMPLES]:
            yield from _leaves(inner, (*path, EVERY))
    elif path and not absent(value):
        yield path, value


class Reads(Protocol):
    """What reads some fields: a mapping or a format. `leaves` is what it knowingly leaves behind,
    `field` the path under which fields are listed that are the same at any depth.
    """

    reads: Callable[[str], bool]
    leaves: Callable[[str], bool]
    field: Callable[[str], str]


def unread(
    of: Reads, listed: Iterable[Field], leave_out: Iterable[str] = (), keep: Iterable[str] = ()
) -> list[Field]:
    """The fields with a value that nothing reads and that are not left out or kept either.

    Of a list or object of which nothing at all is read, its own field stands for all below.
    Raises BadPath for what is no path in `leave_out` or `keep`.
    """
    known = {paths.steps(path) for path in (*leave_out, *keep)}
    by_path = {paths.steps(entry.path): entry for entry in listed}
    used: set[Steps] = set()
    unused: list[Steps] = []
    for path, entry in by_path.items():
        if not any(start in known for start in paths.prefixes(path)):
            if entry.holds and not _is_read(of, entry):
                unused.append(path)
                continue
            if not entry.holds and not of.reads(of.field(entry.path)):
                continue
        used.update(paths.prefixes(path))
    tops = (
        next((s for s in paths.prefixes(path) if s not in used and s in by_path), path)
        for path in unused
    )
    return [by_path[top] for top in dict.fromkeys(tops)]


def _is_read(of: Reads, entry: Field) -> bool:
    """Whether it is read, or a tool's own note that stays behind."""
    path = of.field(entry.path)
    if of.leaves(path):
        return True
    if not of.reads(path):
        return False
    # of fields below that are not listed, only those are surely read whose every name is
    return not entry.unlisted or of.reads(f'{path}."…"')
