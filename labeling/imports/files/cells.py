"""What the rows of tables and workbooks share: cells of text below a header."""

from __future__ import annotations

from labeling.imports.files.row import MOST_COLUMNS, BadRow, Changes, Row, Unreadable
from labeling.imports.files.values import Values, shortened


def names_of(header: list[str]) -> list[str]:
    """The columns' names; one without a name is called by its number. Raises Unreadable."""
    if len(header) > MOST_COLUMNS:
        raise Unreadable(f"it has {len(header):,} columns; {MOST_COLUMNS} are the most")
    names = [cell.strip() or f"column {number}" for number, cell in enumerate(header, start=1)]
    for name in names:
        if names.count(name) > 1:
            raise Unreadable(f'the header names the column "{shortened(name)}" twice')
    return names


def row(
    place: int, names: list[str], cells: list[str], values: Values, changes: Changes
) -> Row | None:
    """The row of these cells; empty ones are left out, and None stands for a row without any."""
    if not any(cell.strip() for cell in cells):
        changes.count("empty_rows", place)
        return None
    if any(cell.strip() for cell in cells[len(names) :]):
        many = f"has more cells than the header: {len(cells)} and {len(names)}"
        return Row(place, shown(cells), many)
    try:
        value = {
            name: values.cell(cell, place) for name, cell in zip(names, cells, strict=False) if cell
        }
    except BadRow as error:
        return Row(place, shown(cells), str(error))
    if len(cells) < len(names):
        changes.count("short_rows", place, f"{len(cells)} of {len(names)} cells")
    return Row(place, value)


def shown(cells: list[str]) -> list[str]:
    """The cells of a bad row, for the file of bad rows."""
    return [cell.encode(errors="replace").decode().replace("\0", "") for cell in cells]
