"""How deep JSON may nest: beyond it, reading or storing a value would end in an error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

DEEPEST = 50  # lists and objects inside each other; what Podium reads needs fewer than ten


def too_deep(value: Any) -> bool:
    """Whether lists and dicts nest deeper than DEEPEST; goes by levels and never recurses."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [part for part in level if isinstance(part, dict | list)]
        if not level:
            return False
        level = [inner for part in level for inner in _members(part)]
    return True


def _members(part: dict | list) -> Iterable[Any]:
    return part.values() if isinstance(part, dict) else part
