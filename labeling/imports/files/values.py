"""Values as JSON has them, out of JSON and out of what Parquet and workbooks have besides."""

from __future__ import annotations

import json
import math
import sys
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Real
from typing import Any

from labeling.imports.files.encodings import is_storable, replaced, storable
from labeling.imports.files.row import MOST_COLUMNS, BadRow, Changes
from people.json_depth import DEEPEST, too_deep

LONGEST_NUMBER = 300  # digits: a longer one is beyond every float
EXACT = 15  # characters of a number that a float holds as it is written
TOO_DEEP = "nested too deeply"
PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")


class Values:
    """Makes values, and counts the rows in which something was replaced.

    NaN becomes null, and Infinity the largest number, which keeps the order of scores: no database
    holds either in JSON. A number with more digits than a float has is rounded. Bytes that are no
    text become null. Of texts, see storable().
    """

    def __init__(self, changes: Changes):
        self.changes = changes
        self.replaced: dict[str, tuple[str, str]] = {}  # in the row at hand: (before, after)
        self.decoder = json.JSONDecoder(
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=self._real,
            parse_constant=self._constant,
        )

    def parse(self, text: str, place: int | str) -> Any:
        """The value of a JSON text. Raises BadRow."""
        self.replaced.clear()
        try:
            value = self.decoder.decode(text)
        except json.JSONDecodeError as error:
            raise BadRow(f"not JSON ({_why_not_json(error)})") from None
        except RecursionError:
            raise BadRow(TOO_DEEP) from None
        if text.count("[") + text.count("{") > DEEPEST and too_deep(value):
            raise BadRow(TOO_DEEP)
        if "\\u" in text and _holds_unstorable(value):
            value = self._plain(value, place)
        self._count(place)
        _check_columns(value)
        return value

    def cell(self, cell: str, place: int | str) -> Any:
        """The text of a cell; what it says where it is JSON. Raises BadRow."""
        if cell[0] in "[{":
            try:
                return self.parse(cell, place)
            except BadRow as error:
                if not str(error).startswith("not JSON"):
                    raise
        return storable(cell, place, self.changes)

    def plain(self, value: Any, place: int | str) -> Any:
        """The value as JSON has it: times as ISO 8601, bytes as text. Raises BadRow."""
        self.replaced.clear()
        if too_deep(value):
            raise BadRow(TOO_DEEP)
        result = self._plain(value, place)
        self._count(place)
        return result

    def _plain(self, value: Any, place: int | str) -> Any:
        if isinstance(value, str):
            return storable(value, place, self.changes)
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return self._finite(value)
        if isinstance(value, dict):
            return _named((replaced(str(k)), self._plain(v, place)) for k, v in value.items())
        if isinstance(value, list | tuple | set):
            return [self._plain(inner, place) for inner in value]
        if isinstance(value, bytes):
            return self._text_of(value, place)
        if isinstance(value, date | time):
            return value.isoformat()
        if isinstance(value, timedelta):
            return value.total_seconds()
        if isinstance(value, Decimal) and value == value.to_integral_value():
            return _whole(str(int(value)))
        if isinstance(value, Decimal):
            return self._real(str(value))
        if isinstance(value, Real):
            return self._finite(float(value))
        return str(value)

    def _text_of(self, content: bytes, place: int | str) -> str | None:
        try:
            return storable(content.decode(), place, self.changes)
        except UnicodeDecodeError:
            if content.startswith(PICTURES):
                raise BadRow("holds a picture") from None
            self.replaced["bytes"] = f"{len(content):,} bytes", "null"
            return None

    def _real(self, text: str) -> float | None:
        number = float(text)
        if (len(text) > EXACT or not number) and math.isfinite(number):
            exact = Decimal(text)
            if exact not in (Decimal(repr(number)), Decimal(number)):
                self.replaced["rounded"] = text, repr(number)
        return self._finite(number, text)

    def _constant(self, name: str) -> float | None:
        return self._finite(float(name), name)

    def _finite(self, number: float, text: str = "") -> float | None:
        if math.isfinite(number):
            return number
        if math.isnan(number):
            self.replaced["not_a_number"] = "NaN", "null"
            return None
        self.replaced["infinity"] = text or str(number), ""
        return math.copysign(sys.float_info.max, number)

    def _count(self, place: int | str) -> None:
        for name, (before, after) in self.replaced.items():
            self.changes.count(name, place, before, after)
        self.replaced.clear()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _value in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise BadRow(f'the key "{shortened(replaced(doubled))}" is there twice')
    return value


def _named(pairs: Any) -> dict[str, Any]:
    return _object(list(pairs))


def _whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise BadRow(f"holds a number that is too long ({len(text):,} digits)")
    return int(text)


def _holds_unstorable(value: Any) -> bool:
    """Whether half surrogates or NUL are in any text of a value that is not too deep."""
    if isinstance(value, str):
        return not is_storable(value)
    if isinstance(value, dict):
        return any(map(_holds_unstorable, value)) or any(map(_holds_unstorable, value.values()))
    return isinstance(value, list) and any(map(_holds_unstorable, value))


def _check_columns(value: Any) -> None:
    if isinstance(value, dict) and len(value) > MOST_COLUMNS:
        raise BadRow(f"has {len(value):,} columns; {MOST_COLUMNS} are the most")


def shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"


def _why_not_json(error: json.JSONDecodeError) -> str:
    """The fault in words that say what to look for; else as the parser says it."""
    text, place = error.doc, error.pos
    before = text[:place].rstrip()
    if text.startswith(("{'", "['")):
        return "texts need double quotes, not single ones as in Python"
    if error.msg.startswith("Unterminated string") or place >= len(text.rstrip()):
        return "it is cut off"
    if error.msg == "Extra data":
        return f"something follows after its end, at character {place + 1}"
    if before.endswith(",") and text[place : place + 1] in ("}", "]"):
        return f"a comma too many at character {len(before)}"
    if error.msg.startswith("Invalid control character"):
        return f"a line break, a tab or another control character in a text, at {place + 1}"
    return f"{error.msg} at character {place + 1}"
