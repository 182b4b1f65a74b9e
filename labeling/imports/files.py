"""Read files row by row: JSON Lines, a JSON list, CSV or Parquet, with or without gzip. The whole
file is never in memory.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from modelops.parquet import opened
from people.json_depth import too_deep

LONGEST_ROW = 8 * 2**20  # bytes
PACKED = 100  # times that a file may grow when it is unpacked
ENDLESS = 1_000  # nested lists and objects, beyond which the rest of a file is not read
PARQUET = 500  # rows read together


@dataclass(frozen=True)
class Row:
    """One row of a file: its place, its value (as text if it cannot be parsed), the error, and the
    file's name.
    """

    place: int | str
    value: Any = None
    error: str = ""
    file: str = ""


class Unreadable(ValueError):
    """The rest of the file cannot be read; the message says why."""


def rows(path: Path, name: str = "") -> Iterator[Row]:
    """Yield every row of the file, or of each file of a folder in the order of their names.

    `name` is the file's own, where it is kept under another one.
    """
    if not path.is_dir():
        yield from _file(path, name or path.name)
        return
    for file in sorted(path.iterdir()):
        for row in _file(file, file.name):
            yield Row(f"{row.place} of {file.name}", row.value, row.error, file.name)


def head(path: Path, count: int, name: str = "") -> list[Row]:
    return list(islice(rows(path, name), count))


def _file(path: Path, name: str) -> Iterator[Row]:
    place = 0
    try:
        for row in _rows(path):
            place = row.place
            if too_deep(row.value):
                yield Row(row.place, None, "nested too deeply", name)
            else:
                yield Row(row.place, row.value, row.error, name)
    except (Unreadable, EOFError, OSError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        if isinstance(error, FileNotFoundError):
            raise
        yield Row(place + 1, error=f"can't be read from here on ({error})")


def _rows(path: Path) -> Iterator[Row]:
    with _opened(path) as stream:
        begin = stream.peek(4096)[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
        if begin.startswith(b"PAR1"):
            yield from _parquet(path)
        elif begin.startswith(b"[") and not _is_a_line(begin):
            yield from _json_list(stream)
        elif _is_a_table(begin):
            yield from _table(stream)
        else:
            yield from _json_lines(stream)


def _opened(path: Path) -> io.BufferedReader:
    with open(path, "rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return io.BufferedReader(_Unpacked(path)) if packed else open(path, "rb")


class _Unpacked(io.RawIOBase):
    """A gzip file with a limit on how much it may grow."""

    def __init__(self, path: Path):
        self.stream = gzip.open(path)  # noqa: SIM115
        self.left = max(PACKED * path.stat().st_size, 2**20)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        count = self.stream.readinto(buffer)
        self.left -= count
        if self.left < 0:
            raise Unreadable(f"unpacked it is more than {PACKED} times as large")
        return count

    def close(self) -> None:
        self.stream.close()
        super().close()


def _is_a_line(begin: bytes) -> bool:
    """Whether the first line is a JSON list by itself and more lines follow: then each line is a
    list.
    """
    first, newline, rest = begin.partition(b"\n")
    try:
        return isinstance(json.loads(first), list) and bool(rest.strip())
    except (ValueError, RecursionError):
        return False


def _is_a_table(begin: bytes) -> bool:
    """Whether the first line is a header: not JSON, with separators or just a column "prompt"."""
    first = begin.partition(b"\n")[0].strip()
    if first.startswith((b"{", b"[")):
        return False
    try:
        json.loads(first)
        return False
    except ValueError:
        return b"," in first or b"\t" in first or b";" in first or first == b"prompt"


def _json_lines(stream: BinaryIO) -> Iterator[Row]:
    number = 0
    while line := stream.readline(LONGEST_ROW + 1):
        number += 1
        if len(line) > LONGEST_ROW:
            raise Unreadable(f"a row is longer than {LONGEST_ROW // 2**20} MB")
        if line := line.removeprefix(b"\xef\xbb\xbf").strip():
            yield _line(number, line)


def _line(number: int, line: bytes) -> Row:
    try:
        return Row(number, json.loads(line))
    except json.JSONDecodeError as error:
        reason = f"not JSON ({error.msg})"
    except UnicodeDecodeError:
        reason = "not UTF-8 text"
    except RecursionError:
        reason = "nested too deeply"
    except ValueError:
        reason = "holds a number that is too long"
    return Row(number, line.decode(errors="replace"), reason)


def _json_list(stream: BinaryIO) -> Iterator[Row]:
    """Yield the items of one list; a row's number is its position in the list."""
    import ijson

    events = ijson.parse(_shallow(ijson.basic_parse(stream, use_float=True)))
    try:
        for number, value in enumerate(ijson.items(events, "item"), start=1):
            yield Row(number, value)
    except ijson.JSONError as error:
        raise Unreadable(f"not JSON: {error}") from error


def _shallow(events: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield the events unchanged. Raises Unreadable if they nest deeper than ENDLESS.

    ijson keeps the whole path of each event: 100,000 brackets would take 50 GB.
    """
    depth = 0
    for event, value in events:
        if event in ("start_map", "start_array"):
            depth += 1
            if depth > ENDLESS:
                raise Unreadable("nested too deeply")
        elif event in ("end_map", "end_array"):
            depth -= 1
        yield event, value


def _table(stream: BinaryIO) -> Iterator[Row]:
    """CSV with a header; cells that hold JSON are read as such, and empty ones are left out."""
    csv.field_size_limit(LONGEST_ROW)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    header = text.readline()
    separator = max(",\t;", key=header.count)
    names = next(csv.reader([header], delimiter=separator))
    reader = csv.DictReader(text, names, delimiter=separator)
    for cells in reader:
        if None in cells:
            yield Row(reader.line_num + 1, error="has more cells than the header")
        else:
            yield Row(
                reader.line_num + 1, {name: _cell(cell) for name, cell in cells.items() if cell}
            )


def _cell(cell: str) -> Any:
    if cell[0] not in "[{":
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        for batch in parquet.ParquetFile(path).iter_batches(PARQUET):
            with_json = [column for column in batch.schema if "arrow.json" in str(column.type)]
            for value in batch.to_pylist():
                number += 1
                value |= {
                    column.name: opened(value[column.name], column.type) for column in with_json
                }
                yield Row(number, {name: cell for name, cell in value.items() if cell is not None})
    except (pa.ArrowException, ValueError, RecursionError) as error:
        raise Unreadable(f"not Parquet: {error}") from error
