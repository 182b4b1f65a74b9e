"""The import formats, from the most specific to the most general."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
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
from labeling.imports.mapping import PRESETS, Field, Preset, Reader, fields, unread


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
    all_fields = fields(values)
    fitting = []
    for place, format in enumerate(FORMATS.values()):
        share = sum(map(format.looks_like, values)) / max(len(values), 1)
        if share >= 0.5:
            left = unread(format, listed(format.field, all_fields))
            fitting.append((len(left), -share, place, format.name))
    return min(fitting)[-1] if fitting else ""


def listed(name: Callable[[str], str], of_file: Iterable[Field]) -> list[Field]:
    """The fields under the paths that this function of a format or mapping gives them."""
    merged: dict[str, Field] = {}
    for one in of_file:
        path = name(one.path)
        known = merged.setdefault(path, replace(one, path=path))
        if known.path != one.path:
            types = tuple(sorted({*known.types, *one.types}))
            merged[path] = replace(known, types=types, share=max(known.share, one.share))
    return list(merged.values())
