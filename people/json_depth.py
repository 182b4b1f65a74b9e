"""The limit for nested JSON. Deeper values would raise errors when they are read or stored."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

DEEPEST = 50  # levels of lists and objects; Podium's own requests need fewer than ten


class TooDeep(ValueError):
    """A JSON text nests deeper than DEEPEST levels."""


def read(text: str) -> Any:
    """The value of a JSON text. Raises ValueError, or TooDeep."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise TooDeep from None
    if too_deep(value):
        raise TooDeep
    return value


def too_deep(value: Any) -> bool:
    """Whether lists and dicts nest deeper than DEEPEST levels. Walks by level, no recursion."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [part for part in level if isinstance(part, dict | list)]
        if not level:
            return False
        level = [inner for part in level for inner in _members(part)]
    return True


def _members(part: dict | list) -> Iterable[Any]:
    return part.values() if isinstance(part, dict) else part
