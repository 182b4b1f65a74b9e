"""Which codes of winners and labels a file holds: people confirm what each means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from labeling.imports.mapping import codes, paths
from labeling.text.conversations import storable

MOST_CODES = 50  # of one field
LONGEST_CODE = 200  # characters
Found = dict[str, dict[str, int]]  # by path: each code as text, and how many rows have it


class FoundCodes:
    """Counts the codes at the places where a mapping's table has a winner or a label."""

    def __init__(self, table: dict[str, Any]):
        self.counts: dict[str, Counter[str]] = {path: Counter() for path in code_paths(table)}
        self.steps = {path: paths.steps(path) for path in self.counts}

    def add(self, row: Any) -> None:
        for path, count in self.counts.items():
            for value in paths.values(row, self.steps[path]):
                code = code_text(value)
                if code in count or len(count) < MOST_CODES:
                    count[code] += 1

    def as_dict(self) -> Found:
        return {path: dict(count.most_common()) for path, count in self.counts.items()}


def code_paths(table: dict[str, Any]) -> list[str]:
    """The paths of winners and labels, also in a table that is no mapping yet."""
    judgments = table.get("judgment")
    listed = judgments if isinstance(judgments, list) else [judgments]
    written = (path for judgment in listed for path in _paths(judgment))
    return [path for path in dict.fromkeys(written) if _is_path(path)]


def _paths(judgment: Any) -> Iterator[str]:
    if not isinstance(judgment, dict):
        return
    base = judgment.get("each")
    for rule in ("winner", "label"):
        given = judgment.get(rule)
        path = given.get("field") if isinstance(given, dict) else given
        if isinstance(path, str):
            yield f"{base}[*].{path}" if isinstance(base, str) else path


def _is_path(path: str) -> bool:
    try:
        paths.steps(path)
    except paths.BadPath:
        return False
    return True


def code_text(value: Any) -> str:
    """A code as a table has it; what can be none is shown."""
    if isinstance(value, str):
        return storable(value.strip())[:LONGEST_CODE]
    return codes.spelled(value) or codes.shown(value)
