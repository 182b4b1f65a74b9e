"""JSON Lines: a value in each line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from labeling.imports.files.encodings import UTF_8_MARK, Texts
from labeling.imports.files.row import LONGEST_ROW, TOO_LONG, BadRow, Changes, Row
from labeling.imports.files.values import Values

BEGINNING = 200  # bytes that are kept of a row that is too long


def rows(stream: BinaryIO, texts: Texts, values: Values, changes: Changes) -> Iterator[Row]:
    """A row's place is its line. Lines without anything are counted."""
    number = 0
    while line := stream.readline(LONGEST_ROW + 1):
        number += 1
        if is_too_long(line):
            skip_line(stream)
            yield too_long(number, line)
        elif stripped := line.removeprefix(UTF_8_MARK).strip():
            yield row(number, stripped, texts, values)
        else:
            changes.count("empty_rows", number)


def row(place: int, raw: bytes, texts: Texts, values: Values) -> Row:
    """The row that this JSON text is."""
    try:
        text = texts.decode(raw, place)
    except BadRow as error:
        return Row(place, raw.decode(errors="replace"), str(error))
    try:
        value = values.parse(text, place)
    except BadRow as error:
        return Row(place, text, str(error))
    if texts.converted:
        texts.count(place, text)
    return Row(place, value)


def is_too_long(line: bytes) -> bool:
    return len(line) > LONGEST_ROW and not line.endswith(b"\n")


def skip_line(stream: BinaryIO) -> None:
    """Read on to the end of the line."""
    while (part := stream.readline(2**20)) and not part.endswith(b"\n"):
        pass


def too_long(place: int, raw: bytes) -> Row:
    return Row(place, raw[:BEGINNING].decode(errors="replace") + "…", TOO_LONG)
