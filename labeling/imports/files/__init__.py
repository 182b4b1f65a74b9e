"""Read files row by row, whatever their kind; the whole file is never in memory.

A file is read in a process of its own, which ends where it takes too much memory or time
(people/limited.py). Of a small text, which can't take either, that is not needed.

sources.py     the files of a folder or a zip    unpacking.py   gzip and zstd
encodings.py   UTF-16 and Windows-1252           values.py      JSON values, and what is replaced
json_lines.py, json_values.py, table.py, workbook.py, parquet.py: the rows of each kind of file
"""

from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from labeling.imports.files import json_lines, json_values, parquet, table, unpacking, workbook
from labeling.imports.files.encodings import LOOKED_AT, Texts, as_utf8
from labeling.imports.files.row import (
    EXAMPLE,
    EXAMPLES,
    LONGEST_ROW,
    Changes,
    Row,
    Unreadable,
    place_within,
)
from labeling.imports.files.sources import ZIP, Source, on_disk, sources
from labeling.imports.files.values import Values
from people import limited
from people.limited import LimitReached, Limits, TooMuchSent

__all__ = [
    "EXAMPLE",
    "EXAMPLES",
    "LONGEST_ROW",
    "Changes",
    "LimitReached",
    "Row",
    "Unreadable",
    "first_rows",
    "head",
    "rows",
]
SMALL_TEXT = 2**18  # bytes of a file that is read in this process, unless it is packed
PAGE_SECONDS = 20  # of a processor, for the rows of a page
PAGE_MEMORY = 512  # MB
PAGE_BYTES = 8 * 2**20  # of the rows of a page

OTHER_KINDS = {  # by how a file begins
    b"\xd0\xcf\x11\xe0": "it is an old Excel workbook (.xls), or one with a password: "
    "save it as .xlsx or CSV",
    b"%PDF": "it is a PDF",
    b"BZh": "it is packed by bzip2: unpack it first",
    b"\xfd7zXZ": "it is packed by xz: unpack it first",
    b"7z\xbc\xaf": "it is packed by 7-Zip: unpack it first",
    b"Rar!": "it is packed by RAR: unpack it first",
    b"SQLite format 3": "it is an SQLite database: export its table as CSV",
    b"ARROW1": "it is an Arrow file: save it as Parquet",
    b"Obj\x01": "it is an Avro file: save it as Parquet",
    b"\x89PNG": "it is a picture",
    b"\xff\xd8\xff": "it is a picture",
    b"GIF8": "it is a picture",
    b"\x80\x02": "it is a Python pickle: save it as JSON Lines",
    b"\x80\x03": "it is a Python pickle: save it as JSON Lines",
    b"\x80\x04": "it is a Python pickle: save it as JSON Lines",
    b"\x80\x05": "it is a Python pickle: save it as JSON Lines",
    b"version https://git-lfs": "it is only a pointer of Git LFS: fetch the file itself",
    b"<!doctype html": "it is a web page, not the file: download it again",
    b"<html": "it is a web page, not the file: download it again",
    b"<?xml": "it is XML",
}
TAR = slice(257, 262)


def rows(path: Path, name: str = "", changes: Changes | None = None) -> Iterator[Row]:
    """Yield every row of the file, or of each file of a folder or a zip in the order of their
    names. `changes` counts what reading changes and leaves out.

    `name` is the file's own, where it is kept under another one. Raises LimitReached.
    """
    limits = Limits(settings.READ_MEMORY * 2**20, settings.READ_SECONDS)
    return _rows(path, name, changes, limits)


def first_rows(path: Path, name: str = "", changes: Changes | None = None) -> Iterator[Row]:
    """The rows, with the limits of a page for which somebody waits. Raises LimitReached, and
    TooMuchSent where there are further rows than a page may hold.
    """
    seconds = min(PAGE_SECONDS, settings.READ_SECONDS)
    memory = min(PAGE_MEMORY, settings.READ_MEMORY) * 2**20
    limits = Limits(memory, seconds, sent=PAGE_BYTES)
    return _rows(path, name, changes, limits)


def head(path: Path, count: int, name: str = "") -> list[Row]:
    """The first rows; fewer where those are large. Where a limit is reached, a bad row says so."""
    head: list[Row] = []
    try:
        for row in islice(first_rows(path, name), count):
            head.append(row)
    except TooMuchSent:
        pass
    except LimitReached as error:
        head.append(Row(len(head) + 1, error=_from_here_on(error)))
    return head


def _rows(path: Path, name: str, changes: Changes | None, limits: Limits) -> Iterator[Row]:
    changes = Changes() if changes is None else changes
    if _is_small_text(path):
        yield from rows_here(path, name, changes)
        return
    settings.VAR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.VAR, prefix=".reading-") as scratch:
        for item in limited.items(limits, _with_changes, path, name, scratch):
            if isinstance(item, Changes):
                vars(changes).update(vars(item))
            else:
                yield Row(*pickle.loads(item), size=len(item))


def _is_small_text(path: Path) -> bool:
    if path.is_dir():
        return False
    with open(path, "rb") as file:
        begin = file.read(4)
    grows = begin.startswith((b"PAR1", *ZIP)) or unpacking.is_packed(begin)
    return not grows and path.stat().st_size <= SMALL_TEXT


def _with_changes(path: Path, name: str, scratch: str) -> Iterator[bytes | Changes]:
    """Yield the rows, pickled, and the changes so far wherever there are more of them."""
    tempfile.tempdir = scratch  # what is left there by a process that was ended goes with it
    changes, counts = Changes(), {}
    for row in rows_here(path, name, changes):
        if changes.counts != counts:
            counts = dict(changes.counts)
            yield changes
        yield pickle.dumps((row.place, row.value, row.error, row.file), pickle.HIGHEST_PROTOCOL)
    yield changes


def rows_here(path: Path, name: str = "", changes: Changes | None = None) -> Iterator[Row]:
    """Yield the rows, in this process."""
    changes = Changes() if changes is None else changes
    try:
        for source in sources(path, name or path.name, changes):
            changes.within = source.within
            yield from _rows_of(source, changes)
    except Unreadable as error:
        yield Row(1, error=_from_here_on(error))


def _rows_of(source: Source, changes: Changes) -> Iterator[Row]:
    place: int | str = 0
    try:
        for row in _kind(source, changes):
            place = row.place
            yield Row(place_within(place, source.within), row.value, row.error, source.name)
    except Unreadable as error:
        place = place_within(int(place) + 1, source.within)
        yield Row(place, error=_from_here_on(error), file=source.name)


def _from_here_on(error: Exception) -> str:
    return f"can't be read from here on ({error})"


def _kind(source: Source, changes: Changes) -> Iterator[Row]:
    """The rows of a file, by how it begins."""
    values = Values(changes)
    with source.open() as packed:
        begin = packed.peek(LOOKED_AT)[:LOOKED_AT]
        if begin.startswith((b"PAR1", *ZIP)):
            yield from _read_back_and_forth(source, begin, values, changes)
            return
        _refuse_other_kinds(begin)
        stream, encoding = as_utf8(packed)
        with stream:
            texts = Texts(source.open, changes, encoding)
            begin = stream.peek(LOOKED_AT)[:LOOKED_AT].lstrip()
            if _is_json_over_lines(begin, source):
                yield from json_values.rows(stream, texts, values)
            elif _is_a_table(begin):
                yield from table.rows(stream, texts, values, changes)
            else:
                yield from json_lines.rows(stream, texts, values, changes)


def _read_back_and_forth(
    source: Source, begin: bytes, values: Values, changes: Changes
) -> Iterator[Row]:
    with on_disk(source) as path:
        if begin.startswith(b"PAR1"):
            yield from parquet.rows(path, values)
        else:
            yield from workbook.rows(path, values, changes)


def _refuse_other_kinds(begin: bytes) -> None:
    start = begin[:40].lstrip().lower()
    for mark, kind in OTHER_KINDS.items():
        if begin.startswith(mark) or start.startswith(mark) and mark.startswith(b"<"):
            raise Unreadable(kind)
    if begin[TAR] == b"ustar":
        raise Unreadable("it is a tar archive: unpack it first")


def _is_json_over_lines(begin: bytes, source: Source) -> bool:
    """Whether values stand in a list, or one after the other over many lines each."""
    if begin.partition(b"\n")[0].strip() in (b"{", b"["):
        return True
    return begin.startswith(b"[") and not _first_line_is_a_row(source)


def _first_line_is_a_row(source: Source) -> bool:
    """Whether the first line is a list by itself, with others after it: one row of many."""
    stream, _encoding = as_utf8(source.open())
    with stream:
        size = _size_of_first_line(stream)
        if size > LONGEST_ROW or not any(
            line.strip() for line in iter(partial(stream.readline, LOOKED_AT), b"")
        ):
            return False
    stream, _encoding = as_utf8(source.open())
    with stream:
        return _is_a_list(stream.read(size))


def _size_of_first_line(stream: BinaryIO) -> int:
    """The bytes to the end of the first line with anything in it. A longer one than a row may be is
    not read to its end.
    """
    size, filled = 0, False
    while size <= LONGEST_ROW and (part := stream.readline(LOOKED_AT)):
        size += len(part)
        filled = filled or bool(part.strip())
        if filled and part.endswith(b"\n"):
            break
    return size


def _is_a_list(line: bytes) -> bool:
    """Whatever its encoding, and however long its numbers."""
    try:
        return isinstance(json.loads(line.decode(errors="replace"), parse_int=str), list)
    except (ValueError, RecursionError):
        return False


def _is_a_table(begin: bytes) -> bool:
    """Whether the first line is a header: not JSON, with separators or just a column "prompt"."""
    first = begin.partition(b"\n")[0].strip()
    if first.startswith((b"{", b"[")):
        return False
    if first.strip(b'"') == b"prompt" or first.lower().startswith((b"sep=", b'"sep=')):
        return True
    try:
        json.loads(first)
        return False
    except (ValueError, RecursionError):
        return any(separator.encode() in first for separator in table.SEPARATORS)
