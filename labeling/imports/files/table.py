"""CSV with a header: cells between commas, tabs, semicolons or bars."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from labeling.imports.files import cells, json_lines
from labeling.imports.files.encodings import Texts
from labeling.imports.files.row import (
    LONGEST_ROW,
    TOO_LONG,
    BadRow,
    Changes,
    Row,
    Unreadable,
)
from labeling.imports.files.values import Values

SEPARATORS = ",\t;|"
NAMED_SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # Excel's own first line
QUOTED = re.compile(r'"(?:[^"]|"")*"')
FAULTS = {  # what the csv module says, in words that say what to look for
    "unexpected end of data": "a quote opens a cell and none closes it",
    "expected after": "a quote within a cell is not doubled",
    "new-line character": "a line break within a cell that has no quotes",
}


def rows(stream: BinaryIO, texts: Texts, values: Values, changes: Changes) -> Iterator[Row]:
    """Cells that hold JSON are read as such, empty ones are left out. A row's place is the line on
    which it begins. Raises Unreadable.
    """
    csv.field_size_limit(LONGEST_ROW)
    lines = _Lines(stream, texts)
    records = csv.reader(lines, delimiter=_separator(lines), strict=True)
    header = _next_record(records, lines)
    if header is None:
        return
    if header.error:
        raise Unreadable(f"the header: {header.error}")
    names = cells.names_of(header.cells)
    while record := _next_record(records, lines):
        if record.error:
            yield Row(record.place, record.text, record.error)
        elif row := cells.row(record.place, names, record.cells, values, changes):
            if record.converted:
                texts.count(record.place, record.text)
            yield row


@dataclass
class _Record:
    place: int
    text: str
    cells: list[str]
    error: str = ""
    converted: bool = False  # whether a line of it was in another encoding


@dataclass
class _Line:
    text: str
    error: str = ""
    converted: bool = False


def _next_record(records: Iterator[list[str]], lines: _Lines) -> _Record | None:
    """The next record; with its first line alone if it is broken: those after it are read again."""
    lines.begin_record()
    try:
        record = _Record(0, "", next(records))
    except StopIteration:
        return None
    except (csv.Error, BadRow) as error:
        lines.go_back()
        record = _Record(0, "", [], _fault(str(error)))
    record.place = lines.number - len(lines.of_record) + 1
    record.text = "".join(line.text for line in lines.of_record)
    record.error = record.error or next((line.error for line in lines.of_record if line.error), "")
    record.converted = any(line.converted for line in lines.of_record)
    return record


def _fault(message: str) -> str:
    return next((fault for words, fault in FAULTS.items() if words in message), message)


def _separator(lines: _Lines) -> str:
    """The separator that the first line names; else the one that is most often in the header."""
    first = next(lines, "")
    if named := NAMED_SEPARATOR.fullmatch(first):
        return named[1]
    lines.begin_record(again=True)
    header = QUOTED.sub("", first)
    return max(SEPARATORS, key=header.count)


class _Lines:
    """The lines of a table as csv takes them. It keeps those of the record at hand, so that they
    can be read again.
    """

    def __init__(self, stream: BinaryIO, texts: Texts):
        self.stream, self.texts = stream, texts
        self.number = 0  # of the line that was read last
        self.of_record: list[_Line] = []
        self.size = 0  # characters in them
        self.again: deque[_Line] = deque()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.again.popleft() if self.again else self._read()
        if line is None:
            raise StopIteration
        self.number += 1
        self.of_record.append(line)
        self.size += len(line.text)
        if self.size > LONGEST_ROW:
            raise BadRow(TOO_LONG)
        return line.text

    def begin_record(self, again: bool = False) -> None:
        """Forget the lines of the last record, or read them again."""
        if again:
            self.number -= len(self.of_record)
            self.again.extendleft(reversed(self.of_record))
        self.of_record, self.size = [], 0

    def go_back(self) -> None:
        """Read all lines of the record again but its first."""
        rest = self.of_record[1:]
        del self.of_record[1:]
        self.number -= len(rest)
        self.again.extendleft(reversed(rest))

    def _read(self) -> _Line | None:
        raw = self.stream.readline(LONGEST_ROW + 1)
        if not raw:
            return None
        if json_lines.is_too_long(raw):
            json_lines.skip_line(self.stream)
            return _Line("…\n", TOO_LONG)
        try:
            text = self.texts.decode(raw, self.number + 1)
            return _Line(text, converted=self.texts.converted)
        except BadRow as error:
            return _Line(raw.decode(errors="replace"), str(error))
