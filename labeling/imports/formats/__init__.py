"""The import formats, from the most specific to the most general: recognised in that order."""

from __future__ import annotations

from pathlib import Path

from labeling.imports import files
from labeling.imports.formats import (
    comparisons,
    plain,
    preferences,
    rows,
    self_instruct,
    trees,
)
from labeling.imports.formats.base import Format

FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        *trees.FORMATS,
        *comparisons.FORMATS,
        *self_instruct.FORMATS,
        *preferences.FORMATS,
        *rows.FORMATS,
        *plain.FORMATS,
    )
}
LOOKED_AT = 20


def recognise(path: Path) -> str:
    """The name of the first format that all of the first rows look like; "" if there is none."""
    values = [row.value for row in files.head(path, LOOKED_AT) if not row.error]
    fitting = (
        name for name, format in FORMATS.items() if values and all(map(format.looks_like, values))
    )
    return next(fitting, "")
