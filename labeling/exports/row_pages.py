"""Pages of a dataset's frozen rows, from any place in its file. A page reads a part of the file,
however long that is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from django.utils.translation import gettext as _

from modelops import datasets
from modelops.models import Dataset

LOOKED_AT = 5_000  # rows that a page looks through at most
LARGEST_FILE = 2**62  # bytes: no row starts beyond
BLOCK = 2**14  # bytes that are read at once on the way back


class NoSuchRow(Exception):
    """No row of the dataset starts at this byte."""


@dataclass(frozen=True)
class RowPage:
    """Rows, each with the byte of the file where it starts. `following` and `preceding` are where
    the pages on both sides start; None at an end of the file.
    """

    rows: list[tuple[int, dict[str, Any]]]
    following: int | None
    preceding: int | None
    share: float  # of the file that is before the first row
    cut: bool = False  # it ended before it was full, and before the file did


@dataclass(frozen=True)
class Filter:
    """Which rows a page holds: those of a split, those with these words in any of their texts."""

    split: str = ""
    search: str = ""

    def fits(self, row: dict[str, Any]) -> bool:
        if self.split and row["split"] != self.split:
            return False
        words = self.search.casefold()
        return not words or any(words in text.casefold() for text in _texts(row))


def _texts(value: Any) -> Iterator[str]:
    """Every text in a row; the names of its fields are none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def page(
    dataset: Dataset,
    size: int,
    start: int = 0,
    wanted: Filter | None = None,
    backward: bool = False,
) -> RowPage:
    """At most `size` rows from byte `start` on; with `backward`, those that end before it.

    Raises NoSuchRow, or datasets.Withheld for a dataset without rows.
    """
    wanted = wanted or Filter()
    with opened(dataset) as file:
        length = _length(file)
        if not is_start(file, start, length):
            raise NoSuchRow(_("No row starts at byte %(start)s.") % {"start": start})
        lines = _before(file, start) if backward else _after(file, start)
        rows: list[tuple[int, dict[str, Any]]] = []
        looked_at, end = 0, start
        for offset, line in islice(lines, LOOKED_AT):
            looked_at, end = looked_at + 1, offset if backward else offset + len(line)
            row = json.loads(line)
            if wanted.fits(row):
                rows.append((offset, row))
            if len(rows) == size:
                break
    cut = len(rows) < size and 0 < end < length
    if backward:
        first, following, rows = end, start, rows[::-1]
    else:
        first, following = start, end
    return RowPage(
        rows,
        following if following < length else None,
        first if first > 0 else None,
        first / length if length else 0,
        cut,
    )


def row_at(dataset: Dataset, start: int) -> dict[str, Any]:
    """The row that starts at this byte. Raises NoSuchRow or datasets.Withheld."""
    with opened(dataset) as file:
        if not is_start(file, start, _length(file) - 1):
            raise NoSuchRow(_("No row starts at byte %(start)s.") % {"start": start})
        return read_at(file, start)


def opened(dataset: Dataset) -> BinaryIO:
    """The file of a dataset's rows. Raises datasets.Withheld."""
    datasets.refuse_withdrawn(dataset)
    try:
        return open(datasets.path(dataset) / "rows.jsonl", "rb")
    except FileNotFoundError:
        raise datasets.no_file(dataset) from None


def read_at(file: BinaryIO, start: int) -> dict[str, Any]:
    file.seek(start)
    row: dict[str, Any] = json.loads(file.readline())
    return row


def is_start(file: BinaryIO, start: int, length: int) -> bool:
    """Whether a line starts at this byte, or the file of this length ends there."""
    if not 0 <= start <= length:
        return False
    file.seek(max(start - 1, 0))
    return start == 0 or file.read(1) == b"\n"


def _length(file: BinaryIO) -> int:
    return file.seek(0, 2)


def _after(file: BinaryIO, start: int) -> Iterator[tuple[int, bytes]]:
    """(start, line) of the lines from byte `start` on."""
    file.seek(start)
    for line in file:
        yield start, line
        start += len(line)


def _before(file: BinaryIO, start: int) -> Iterator[tuple[int, bytes]]:
    """(start, line) of the lines that end before byte `start`, the last first."""
    while start > 0:
        end, start = start, _line_before(file, start)
        file.seek(start)
        yield start, file.read(end - start)


def _line_before(file: BinaryIO, start: int) -> int:
    """Where the line starts that ends with the line break just before `start`."""
    end = start - 1
    while end > 0:
        begin = max(0, end - BLOCK)
        file.seek(begin)
        at = file.read(end - begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0
