"""Paths into nested values: `messages[-1].content`, `answers[*].text`, `a."b.c"[0]`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from labeling.text import strict_json
from people.json_depth import too_deep

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(rf'({_QUOTED})|\[(\*|-?\d{{1,6}})\]|([^.\[\]"]+)|(\.)')
_PLAIN = re.compile(r'[^.\[\]"\s](?:[^.\[\]"]*[^.\[\]"\s])?')


class BadPath(ValueError):
    """This is no path; the message says why."""


class _Every:
    """The step into each item of a list."""

    def __repr__(self) -> str:
        return "*"

    def __reduce__(self) -> str:
        return "EVERY"


EVERY = _Every()
Step = str | int | _Every
Steps = tuple[Step, ...]


@lru_cache(maxsize=10_000)
def steps(path: str) -> Steps:
    """The steps of a path: names of objects, positions in lists, and EVERY. Raises BadPath."""
    if not path:
        raise BadPath("a path is not empty")
    result: list[Step] = []
    end, joined = 0, True  # `joined`: a name may follow
    for token in _TOKEN.finditer(path):
        if token.start() != end:
            break
        end = token.end()
        quoted, position, name, dot = token.groups()
        if dot:
            if joined:
                break
            joined = True
        elif position is not None:
            if joined and result:
                break
            result.append(EVERY if position == "*" else int(position))
            joined = False
        else:
            if not joined:
                break
            result.append(re.sub(r"\\(.)", r"\1", quoted[1:-1]) if quoted else name)
            joined = False
    else:
        if end == len(path) and not joined:
            return tuple(result)
    raise BadPath(f"{path!r} is no path")


def text(path: Steps) -> str:
    """The path as it is written."""
    written = ""
    for step in path:
        if isinstance(step, str):
            name = step if _PLAIN.fullmatch(step) else _quoted(step)
            written += f".{name}" if written else name
        else:
            written += f"[{step}]"
    return written


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def get(value: Any, path: Steps) -> Any:
    """What stands at the path; None if nothing does. With EVERY the list of all that stands there,
    None for each item that has nothing.
    """
    for place, step in enumerate(path):
        if isinstance(value, str):
            value = opened(value)
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif not isinstance(value, list):
            return None
        elif step is EVERY:
            rest = path[place + 1 :]
            inner = [get(item, rest) for item in value]
            return _flat(inner) if EVERY in rest else inner
        else:
            value = value[step] if -len(value) <= step < len(value) else None
        if value is None:
            return None
    return value


def _flat(lists: list) -> list:
    return [item for inner in lists if inner is not None for item in inner]


def values(value: Any, path: Steps) -> list:
    """All that stands at the path, without what is null."""
    standing = get(value, path)
    if EVERY in path:
        return [item for item in standing or [] if item is not None]
    return [] if standing is None else [standing]


def opened(cell: str) -> Any:
    """The list or object that a text holds as JSON; None if it holds none, or one that would not be
    kept whole.
    """
    if cell.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        value = strict_json.read(cell)
    except strict_json.BadJson:
        return None
    return None if too_deep(value) else value


def covers(path: Steps, other: Steps) -> bool:
    """Whether the other path lies at or below this one."""
    return other[: len(path)] == path


def prefixes(path: Steps) -> Iterator[Steps]:
    """The path's beginnings, the shortest first, itself at the end."""
    return (path[:end] for end in range(1, len(path) + 1))
