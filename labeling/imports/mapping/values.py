"""Short values of a row: texts, splits, languages, metadata."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labeling.imports.files.values import LONGEST_NUMBER
from labeling.imports.mapping import paths
from labeling.imports.mapping.codes import absent
from labeling.imports.mapping.paths import Steps
from labeling.imports.mapping.spec import Source
from labeling.text import conversations
from labeling.text.conversations import BadPrompt
from labeling.text.reasons import kind_of, quoted


def short(value: Any, what: str, between: str = ", ") -> str:
    """A short value as text: of a list its items. Raises BadPrompt."""
    if absent(value):
        return ""
    if isinstance(value, list):
        items = [short(item, f"an item of {what}", between) for item in value]
        return between.join(filter(None, items))
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadPrompt(f"{what} must be a text, and is {kind_of(value)}")
    return conversations.clean(value if isinstance(value, str) else _number(value))


def _number(value: float) -> str:
    """A number without the .0 that a table gives whole ones."""
    if isinstance(value, float):
        return f"{value:.15g}" if not value.is_integer() else str(int(value))
    if abs(value) >= 10**LONGEST_NUMBER:
        raise BadPrompt("holds a number that is too long")
    return str(value)


def source_text(
    source: Source, row: Any, what: str, longest: int = 100, between: str = ", "
) -> str:
    """The text that a source gives of a row; "" for none. Raises BadPrompt if it is too long."""
    if source.path is None:
        return source.value
    written = short(paths.get(row, source.path), what, between)
    written = f"{source.prefix}{written}" if written else ""
    if len(written) > longest:
        raise BadPrompt(f"{what} must have at most {longest} characters, and has {len(written)}")
    return written


def split(source: Source, row: Any) -> str:
    """The split that the row names; "" for none. Raises BadPrompt for a name without meaning."""
    if source.path is None:
        return source.value
    given = paths.get(row, source.path)
    if absent(given):
        return ""
    assert source.codes is not None
    meaning = source.codes.meaning(given)
    if meaning is None:
        raise BadPrompt(
            f"{paths.text(source.path)} is {quoted(given)}, which {source.codes.fault(given)}"
        )
    return "" if meaning == "none" else meaning


def kept(row: Any, keep: Iterable[Steps]) -> dict[str, Any]:
    """What stands at these paths, by path, without what is empty."""
    metadata = {}
    for path in keep:
        standing = paths.get(row, path)
        if paths.EVERY in path:
            standing = None if all(map(absent, standing or ())) else standing
        if not absent(standing):
            metadata[paths.text(path)] = standing
    return metadata
