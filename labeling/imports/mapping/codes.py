"""What values mean: codes of winners, labels and splits, numbers, and names of languages."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from labeling.imports.formats import base
from labeling.text.conversations import BadPrompt

_NUMBER = re.compile(r"[-+]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})(e[-+]?\d{1,3})?", re.ASCII)

LABELS = {
    "good": ["true", "t", "yes", "y", 1, "good", "desirable", "thumbs_up", "positive"],
    "bad": ["false", "f", "no", "n", 0, "bad", "undesirable", "thumbs_down", "negative"],
}
SPLITS = {
    split: [name for name, meaning in base.SPLITS.items() if meaning == split]
    for split in ("train", "validation", "test")
}
FIRST_SECOND = 1e8  # from 1970: March 1973; what is smaller is a year or a day in digits
KINDS = ("person", "model", "script", "unknown")
OUTCOMES = ("ranked", "all_bad", "cannot_judge")


def spelled(value: Any) -> str | None:
    """A value as codes are compared: case folded, numbers by value; None for what is no code."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        value = value.strip()
        if not _NUMBER.fullmatch(value):
            return value.casefold()
    read = number(value)
    return None if read is None else f"{read:.15g}"


def key(value: Any) -> str:
    """A value as keys of rows and messages are compared: exactly, but for the kind of number that a
    table makes of a whole one. "" for what is no key.
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if absent(value) else str(value)


def number(value: Any) -> float | None:
    """A finite number, also one as text; None for all else, also for true and false."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    if isinstance(value, str):
        value = value.strip()
        if not _NUMBER.fullmatch(value):
            return None
    try:
        read = float(value)
    except (OverflowError, ValueError):
        return None
    return (read + 0.0 if read else 0.0) if math.isfinite(read) else None


def absent(value: Any) -> bool:
    """Whether a cell holds nothing: null, an empty text, not a number."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and value.strip() in ("", "NaN", "nan"))


class Codes:
    """A table {meaning: its codes}. `clash` is a code that has two meanings, or ""."""

    def __init__(self, table: Mapping[str, Iterable[Any]]):
        self.exact: dict[str, str] = {}
        self.begins: list[tuple[str, str]] = []
        self.ends: list[tuple[str, str]] = []
        self.others: str | None = None  # what a value means that no other code is for
        self.clash = ""
        for meaning, codes in table.items():
            for code in codes:
                self._add(meaning, code)

    def _add(self, meaning: str, code: Any) -> None:
        key = spelled(code) or ""
        if key == "*":
            if self.others not in (None, meaning):
                self.clash = self.clash or key
            self.others = meaning
        elif isinstance(code, str) and len(key) > 1 and key.startswith("*"):
            self.ends.append((key[1:], meaning))
        elif isinstance(code, str) and len(key) > 1 and key.endswith("*"):
            self.begins.append((key[:-1], meaning))
        elif self.exact.setdefault(key, meaning) != meaning:
            self.clash = self.clash or str(code)

    def meaning(self, value: Any) -> str | None:
        """What the value means; None if the table does not say."""
        key = spelled(value)
        if key is None:
            return None
        if key in self.exact:
            return self.exact[key]
        for end, meaning in self.ends:
            if key.endswith(end):
                return meaning
        for begin, meaning in self.begins:
            if key.startswith(begin):
                return meaning
        return self.others if key else None


def shown(value: Any) -> str:
    """A value in a reason, at most 60 characters."""
    written = repr(value) if isinstance(value, str) else str(value)
    return written if len(written) <= 60 else f"{written[:59]}…"


def kind_of(value: Any) -> str:
    """What a value is, in words."""
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        Decimal: "a number",
        str: "a text",
        list: "a list",
        dict: "an object",
        datetime: "a time",
        date: "a date",
        bytes: "bytes",
        type(None): "empty",
    }
    return names.get(type(value), "of another type")


def time(value: Any) -> str:
    """A time in ISO 8601: of a text as it is, of a number of seconds or milliseconds in UTC. A
    smaller number than FIRST_SECOND is kept as it is. Raises BadPrompt.
    """
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    read = number(value)
    if read is None:
        if isinstance(value, str):
            return value.strip()
        raise BadPrompt(f"a time must be a text or a number, and is {kind_of(value)}")
    if read < FIRST_SECOND:  # a year, or a day such as 20230115
        return str(value).strip()
    try:
        return datetime.fromtimestamp(read / 1000 if read > 1e11 else read, UTC).isoformat()
    except (OverflowError, OSError, ValueError):
        raise BadPrompt(f"{shown(value)} is no time") from None


_ISO_639 = """
    aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da
    de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy
    hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg
    li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or
    os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw
    ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo yue za zh zu
"""
ISO_639 = frozenset(_ISO_639.split())
LANGUAGE = re.compile(r"([A-Za-z]{2,3})([-_][A-Za-z0-9]{2,4})?")
LANGUAGES = {
    name: code
    for code, names in {
        "": "unknown und undefined none",
        "af": "afrikaans",
        "am": "amharic",
        "ar": "arabic",
        "az": "azerbaijani",
        "be": "belarusian",
        "bg": "bulgarian",
        "bn": "bengali bangla",
        "bs": "bosnian",
        "ca": "catalan",
        "cs": "czech",
        "cy": "welsh",
        "da": "danish",
        "de": "german deutsch",
        "el": "greek",
        "en": "english",
        "eo": "esperanto",
        "es": "spanish español",
        "et": "estonian",
        "eu": "basque",
        "fa": "persian farsi",
        "fi": "finnish",
        "fr": "french français",
        "ga": "irish",
        "gl": "galician",
        "gu": "gujarati",
        "ha": "hausa",
        "he": "hebrew",
        "hi": "hindi",
        "hr": "croatian",
        "hu": "hungarian",
        "hy": "armenian",
        "id": "indonesian",
        "is": "icelandic",
        "it": "italian italiano",
        "ja": "japanese",
        "ka": "georgian",
        "kk": "kazakh",
        "km": "khmer",
        "kn": "kannada",
        "ko": "korean",
        "la": "latin",
        "lt": "lithuanian",
        "lv": "latvian",
        "mk": "macedonian",
        "ml": "malayalam",
        "mn": "mongolian",
        "mr": "marathi",
        "ms": "malay",
        "my": "burmese",
        "nb": "bokmål",
        "ne": "nepali",
        "nl": "dutch",
        "nn": "nynorsk",
        "no": "norwegian",
        "pa": "punjabi",
        "pl": "polish",
        "ps": "pashto",
        "pt": "portuguese português",
        "ro": "romanian",
        "ru": "russian",
        "si": "sinhala",
        "sk": "slovak",
        "sl": "slovenian slovene",
        "so": "somali",
        "sq": "albanian",
        "sr": "serbian",
        "sv": "swedish",
        "sw": "swahili",
        "ta": "tamil",
        "te": "telugu",
        "th": "thai",
        "tl": "tagalog filipino",
        "tr": "turkish",
        "uk": "ukrainian",
        "ur": "urdu",
        "uz": "uzbek",
        "vi": "vietnamese",
        "yi": "yiddish",
        "yo": "yoruba",
        "zh": "chinese mandarin",
        "zu": "zulu",
    }.items()
    for name in names.split()
}


def language(value: str) -> str | None:
    """The code of a language, of its English name or a code; None for what is no language."""
    name = value.strip()
    known = LANGUAGES.get(name.casefold())
    if known is not None:
        return known
    match = LANGUAGE.fullmatch(name)
    if not match or match[1].lower() not in ISO_639:
        return None
    return match[1].lower() + (match[2] or "")
