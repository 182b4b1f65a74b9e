"""The import formats, from the most specific to the most general."""

from __future__ import annotations

from pathlib import Path

from labeling.imports import files
from labeling.imports.formats import (
    comparisons,
    exported,
    plain,
    preferences,
    rows,
    self_instruct,
    trees,
)
from labeling.imports.formats.base import Format
from labeling.imports.mapping import PRESETS, Preset, Reader, fields, unread


def _of_preset(preset: Preset) -> Format:
    mapping = preset.mapping
    reader = Reader(mapping)
    return Format(
        preset.name,
        preset.label,
        preset.looks_like,
        lambda value, file: iter(reader.entries(files.Row(0, value, "", file))),
        reads=mapping.reads,
        mapping=mapping,
    )


FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        *trees.FORMATS,
        *comparisons.FORMATS,
        *exported.FORMATS,
        *self_instruct.FORMATS,
        *map(_of_preset, PRESETS.values()),
        *preferences.FORMATS,
        *rows.FORMATS,
        *plain.FORMATS,
    )
}
LOOKED_AT = 20


def recognise(path: Path) -> str:
    """The name of the format that the first rows look like; "" if there is none.

    At least half of them must look like it: a bad row is of the kind of its neighbours. Of several
    formats it is the one that leaves the fewest fields unread, then the more specific one.
    """
    values = [row.value for row in files.head(path, LOOKED_AT) if not row.error]
    listed = fields(values)
    fitting = []
    for place, format in enumerate(FORMATS.values()):
        share = sum(map(format.looks_like, values)) / max(len(values), 1)
        if share >= 0.5:
            fitting.append((len(unread(format, listed)), -share, place, format.name))
    return min(fitting)[-1] if fitting else ""
