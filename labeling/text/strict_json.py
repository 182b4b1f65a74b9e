"""JSON texts inside a row: a value that can't be kept whole is refused, not changed."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

DIGITS = 17  # significant digits of a decimal that a float always keeps apart from its neighbours


class BadJson(ValueError):
    """The text is no JSON, or something in it would be lost; the message says what."""


def read(text: str) -> Any:
    """The value of a JSON text. Raises BadJson, also for a key that is there twice and for a
    decimal with more digits than a float has.
    """
    try:
        return _DECODER.decode(text)
    except BadJson:
        raise
    except (ValueError, RecursionError):
        raise BadJson("this text is not JSON") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        shown = twice[:40].encode(errors="replace").decode()
        raise BadJson(f"the key {json.dumps(shown, ensure_ascii=False)} is there twice")
    return value


def _decimal(text: str) -> float:
    number = float(text)
    exact = Decimal(text)
    is_long = len("".join(map(str, exact.as_tuple().digits)).strip("0")) > DIGITS
    if is_long and exact != Decimal(repr(number)):
        raise BadJson(f"the number {text[:40]} has more digits than can be stored")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_decimal)
