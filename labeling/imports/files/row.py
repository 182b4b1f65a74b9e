"""A row of a file, what reading changed in it, and why it may be bad."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LONGEST_ROW = 8 * 2**20  # bytes
TOO_LONG = f"longer than {LONGEST_ROW // 2**20} MB"
MOST_COLUMNS = 500
EXAMPLES, EXAMPLE = 3, 160  # examples of each change; characters of each


@dataclass  # not frozen: that takes three times as long to make
class Row:
    """One row of a file: its place, its value (as text if it cannot be parsed), the error, and the
    file's name. `size` is in bytes, about; 0 in a small file.
    """

    place: int | str
    value: Any = None
    error: str = ""
    file: str = ""
    size: int = field(default=0, compare=False)


class BadRow(ValueError):
    """This row cannot be read, those after it can; the message says why."""


class Unreadable(ValueError):
    """The rest of the file cannot be read; the message says why."""


@dataclass
class Changes:
    """What reading converted, replaced or left out: the number of rows by name, with examples."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[dict]] = field(default_factory=dict)
    within: str = ""  # the file of the places, where there are several
    last: dict[str, tuple[int | str, str]] = field(default_factory=dict)  # place counted, and file

    def count(self, name: str, place: int | str, before: str = "", after: str = "") -> None:
        """Count a row, once however often something was changed in it."""
        if self.last.get(name) == (place, self.within):
            return
        self.last[name] = place, self.within
        self.counts[name] = self.counts.get(name, 0) + 1
        examples = self.examples.setdefault(name, [])
        if len(examples) < EXAMPLES:
            line = place_within(place, self.within)
            examples.append({"line": line, "before": before[:EXAMPLE], "after": after[:EXAMPLE]})


def place_within(place: int | str, file: str) -> int | str:
    return f"{place} of {file}" if file else place
