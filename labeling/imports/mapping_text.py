"""A mapping as text: written as TOML, read as TOML or JSON."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

from labeling.imports import roles
from labeling.imports.mapping import BadMapping, paths
from labeling.imports.sources import MEANINGS

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def written(table: dict[str, Any]) -> str:
    """One line a key, in TOML."""
    return "".join(f"{_key(name)} = {_value(value)}\n" for name, value in table.items())


def read(text: str) -> dict[str, Any]:
    """The table of a text. Raises BadMapping."""
    try:
        is_json = text.lstrip().startswith("{")
        table = json.loads(text) if is_json else tomllib.loads(text.replace("\r\n", "\n"))
    except (ValueError, RecursionError) as error:
        raise BadMapping(f"neither TOML nor JSON: {error}") from None
    if not isinstance(table, dict):
        raise BadMapping("a mapping must be a table")
    _check(table)
    return table


def _check(table: dict[str, Any]) -> None:
    """Raises BadMapping for what no page could show. What a mapping lacks besides is said there."""
    try:
        json.dumps(table)
    except TypeError:
        raise BadMapping("a time is written in quotes") from None
    for name in (roles.KEEP, roles.LEAVE_OUT):
        if not _is_texts(table.get(name, [])):
            raise BadMapping("must be a list of fields", name)
    judgment = table.get("judgment")
    for rule in roles.RULES:
        given = judgment.get(rule) if isinstance(judgment, dict) else None
        for meaning in MEANINGS if isinstance(given, dict) and rule != "scale" else ():
            if not isinstance(given.get(meaning, []), list):
                raise BadMapping("must be a list of codes", f"judgment.{rule}.{meaning}")
    for path in roles.of(table):
        try:
            paths.steps(path)
        except paths.BadPath as error:
            raise BadMapping(str(error)) from None


def _is_texts(given: Any) -> bool:
    return isinstance(given, list) and all(isinstance(item, str) for item in given)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return _text(value)
    return json.dumps(value)


def _text(value: str) -> str:
    """A basic string: JSON's, but that DEL is no character of TOML."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
