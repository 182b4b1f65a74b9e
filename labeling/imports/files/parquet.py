"""Parquet, a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labeling.imports.files import cells
from labeling.imports.files.row import LONGEST_ROW, TOO_LONG, BadRow, Row, Unreadable
from labeling.imports.files.unpacking import PACKED, SMALL
from labeling.imports.files.values import Values
from modelops.parquet import opened

ROWS = 500  # read together, if they are not large
BYTES = 16 * 2**20  # of rows read together, about
BUFFER = 2**20


def rows(path: Path, values: Values) -> Iterator[Row]:
    """A row's place is its number, from 1. Nulls are left out. Raises Unreadable."""
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        # A buffer reads page by page: without it, a whole group of rows is in memory.
        with parquet.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER) as file:
            cells.names_of(file.schema_arrow.names)
            left = max(PACKED * path.stat().st_size, SMALL)
            batches = file.iter_batches(_rows_together(file.metadata), use_threads=False)
            for batch in batches:
                left -= batch.nbytes + batch.num_rows  # also a row of nulls takes its time
                if left < 0:
                    raise Unreadable(f"unpacked it is more than {PACKED} times as large")
                for value in _values(batch):
                    number += 1
                    yield _row(number, value, batch.schema, values)
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise (
            error if isinstance(error, Unreadable) else Unreadable(f"not Parquet: {error}")
        ) from error


def _rows_together(metadata: Any) -> int:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    largest = max((group.total_byte_size / max(1, group.num_rows) for group in groups), default=1)
    return int(max(1, min(ROWS, BYTES / max(1, largest))))


def _values(batch: Any) -> Iterator[Any]:
    """Yield each row, or why it cannot be read as an exception."""
    # a dictionary holds once what many of its rows, or one row many times, may hold
    if batch.nbytes <= LONGEST_ROW and "dictionary" not in str(batch.schema.types):
        try:
            yield from batch.to_pylist(maps_as_pydicts="strict")
            return
        except (ValueError, KeyError, OverflowError):
            pass  # one by one
    for place in range(batch.num_rows):
        yield _value(batch.slice(place, 1))


def _value(batch: Any) -> Any:
    try:
        value = batch.to_pylist(maps_as_pydicts="strict")[0]
    except (ValueError, KeyError, OverflowError) as error:
        return error
    return BadRow(TOO_LONG) if _size(value) > LONGEST_ROW else value


def _size(value: Any) -> int:
    """Characters and bytes in a value, and one for each of its parts."""
    if isinstance(value, dict):
        return 1 + sum(map(_size, value)) + sum(map(_size, value.values()))
    if isinstance(value, list | tuple):
        return 1 + sum(map(_size, value))
    return len(value) if isinstance(value, str | bytes) else 1


def _row(place: int, value: Any, schema: Any, values: Values) -> Row:
    if isinstance(value, Exception):
        return Row(place, error=_why(value))
    try:
        for column in schema:
            if "arrow.json" in str(column.type):
                value[column.name] = _opened(column, value[column.name])
        given = {name: cell for name, cell in value.items() if cell is not None}
        plain = values.plain(given, place)
    except BadRow as error:
        return Row(place, None, str(error))
    return Row(place, {name: cell for name, cell in plain.items() if cell is not None})


def _opened(column: Any, cell: Any) -> Any:
    try:
        return opened(cell, column.type)
    except (ValueError, RecursionError):
        raise BadRow(f"the column {column.name} holds no JSON") from None


def _why(error: Exception) -> str:
    if isinstance(error, BadRow):
        return str(error)
    if isinstance(error, UnicodeDecodeError):
        return "holds a text that is not UTF-8"
    if isinstance(error, KeyError):
        return "a map has a key twice"
    return f"holds a value that cannot be read ({error})"
