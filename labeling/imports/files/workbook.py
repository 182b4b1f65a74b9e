"""The first sheet of an Excel workbook: a header, and the rows below it."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from labeling.imports.files import cells
from labeling.imports.files.row import (
    LONGEST_ROW,
    TOO_LONG,
    BadRow,
    Changes,
    Row,
    Unreadable,
)
from labeling.imports.files.sources import WORKBOOK
from labeling.imports.files.unpacking import FAULTS, check_growth
from labeling.imports.files.values import Values

TOGETHER = 200  # rows
MOST_ROWS = 1_048_576  # of a sheet, by Excel's own limit
MOST_TEXT = 256 * 2**20  # bytes of the texts that all cells share: they are kept in memory
SHARED = "xl/sharedStrings.xml"
ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")  # a control character, as the format writes it


def rows(path: Path, values: Values, changes: Changes) -> Iterator[Row]:
    """Cells are texts, as in CSV. A row's place is its number in the sheet. Raises Unreadable."""
    _check_size(path)
    with _workbook(path, data_only=True) as book:
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        if not sheets:
            raise Unreadable("the workbook shows no sheet")
        for sheet in book.worksheets:
            if sheet is not sheets[0]:
                changes.count("other_sheets", sheet.title)
        yield from _rows(path, sheets[0], values, changes)


def _rows(path: Path, sheet: Any, values: Values, changes: Changes) -> Iterator[Row]:
    names: list[str] = []
    for place, (row, formulas) in enumerate(_with_formulas(path, sheet), start=1):
        if place > MOST_ROWS:
            raise Unreadable(f"a sheet has at most {MOST_ROWS:,} rows")
        try:
            texts = [_text(cell) for cell in row]
            if sum(map(len, texts)) > LONGEST_ROW:
                raise BadRow(TOO_LONG)
            _check_formulas(row, formulas)
        except BadRow as error:
            if not names:
                raise Unreadable(f"the header: {error}") from error
            yield Row(place, None, str(error))
            continue
        if not names:
            names = _names(texts)
            continue
        texts += [""] * (len(names) - len(texts))  # a sheet keeps no empty cells at the end
        if made := cells.row(place, names, texts, values, changes):
            yield made


def _names(texts: list[str]) -> list[str]:
    """The header, without the empty cells after its last name; none in an empty row."""
    while texts and not texts[-1].strip():
        texts.pop()
    return cells.names_of(texts)


def _text(cell: Any) -> str:
    value = cell.value
    if cell.data_type == "e":
        raise BadRow(f"the cell {cell.coordinate} holds the error {value}")
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value.total_seconds())
    return ESCAPED.sub(lambda match: chr(int(match[1], 16)), str(value))


def _with_formulas(path: Path, sheet: Any) -> Iterator[tuple[tuple, tuple]]:
    """Yield each row, and the same row with its formulas; without, if the sheet has none."""
    if not _has_formulas(sheet):
        yield from ((row, ()) for row in _read(sheet))
        return
    with _workbook(path, data_only=False) as book:
        yield from zip(_read(sheet), _read(book[sheet.title]), strict=True)


def _check_formulas(row: tuple, formulas: tuple) -> None:
    """A program that writes a formula may leave its value to Excel."""
    for cell, formula in zip(row, formulas, strict=False):
        if formula.data_type == "f" and cell.value is None:
            raise BadRow(
                f"the cell {formula.coordinate} holds a formula without its value: "
                "open the file in Excel and save it"
            )


def _read(sheet: Any) -> Iterator[tuple]:
    sheet.reset_dimensions()  # what the file says of its size may be wrong
    remaining = iter(sheet.iter_rows())
    while group := _quiet(lambda: list(islice(remaining, TOGETHER))):
        yield from group


@contextmanager
def _workbook(path: Path, data_only: bool) -> Iterator[Any]:
    import openpyxl

    with (
        open(path, "rb") as file,
        closing(
            _quiet(lambda: openpyxl.load_workbook(file, read_only=True, data_only=data_only))
        ) as book,
    ):
        yield book


def _quiet(read: Any) -> Any:
    """What `read` returns. Raises Unreadable for all that the parser raises about broken files."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Excel knows and openpyxl does not
            return read()
    except MemoryError:
        raise
    except Exception as error:  # its parsers raise errors of every kind
        raise Unreadable(f"the workbook is broken: {error or type(error).__name__}") from error


def _has_formulas(sheet: Any) -> bool:
    def look() -> bool:
        with sheet._get_source() as source:
            before = b""
            while chunk := source.read(2**20):
                if b"<f" in before + chunk:
                    return True
                before = chunk[-1:]
        return False

    return _quiet(look)


def _check_size(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            check_growth(archive, path.stat().st_size)
            sizes = {info.filename: info.file_size for info in archive.infolist()}
    except Unreadable:
        raise
    except FAULTS as error:
        raise Unreadable(f"the zip is broken: {error}") from error
    if WORKBOOK not in sizes:
        raise Unreadable("it is a zip that is packed again: unpack it first")
    if sizes.get(SHARED, 0) > MOST_TEXT:
        raise Unreadable(f"its texts take more than {MOST_TEXT // 2**20} MB: save it as CSV")
