"""Words for what a file holds in the wrong place, for the reasons of bad rows."""

from __future__ import annotations

import json

LONGEST = 40  # characters of a value that a reason quotes


def kind_of(value: object) -> str:
    """What the value is, with its article: "a number"."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a number"
    return {str: "a text", list: "a list", dict: "an object"}.get(type(value), "another value")


def quoted(value: object) -> str:
    """A short value as JSON; of others, what they are."""
    if isinstance(value, str | int | float) or value is None:
        written = json.dumps(value, ensure_ascii=False)
        if len(written) <= LONGEST:
            return written
    return kind_of(value)


def no_text(name: str, value: object, longest: int) -> str:
    """Why the value is no text of at most `longest` characters."""
    if not isinstance(value, str):
        return f"{name} must be a text, not {kind_of(value)}"
    return f"{name} has {len(value):,} characters: at most {longest:,} characters come in"
