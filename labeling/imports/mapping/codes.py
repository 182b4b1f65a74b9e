"""What values mean: codes of winners, labels and splits, numbers, and names of languages."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from labeling.imports.formats import base
from labeling.text.conversations import BadPrompt
from labeling.text.reasons import kind_of, quoted

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
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if absent(value) else str(value)


def number(value: Any) -> float | None:
    """A finite number, also one as text; None for all else, also for true and false."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
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
    """A table {meaning: its codes}. `clash` is a code that has two meanings, or "".

    An exact code goes before those with a `*`, and these before `*` alone. Of two codes with a `*`
    that are both for a value, neither goes first: where they differ, the value has no meaning.
    """

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
            self._check(code, meaning, self.ends, key[1:], str.endswith)
            self.ends.append((key[1:], meaning))
        elif isinstance(code, str) and len(key) > 1 and key.endswith("*"):
            self._check(code, meaning, self.begins, key[:-1], str.startswith)
            self.begins.append((key[:-1], meaning))
        elif self.exact.setdefault(key, meaning) != meaning:
            self.clash = self.clash or str(code)

    @property
    def meanings(self) -> set[str]:
        """All meanings that the table has."""
        listed = [*self.exact.values(), *(m for _code, m in (*self.begins, *self.ends))]
        return {*listed, *([self.others] if self.others else [])}

    def _check(
        self,
        code: str,
        meaning: str,
        known: list[tuple[str, str]],
        part: str,
        fits: Callable[[str, str], bool],
    ) -> None:
        """Note a clash with a code that is for all values of this one, or for some of them."""
        if any(m != meaning and (fits(part, o) or fits(o, part)) for o, m in known):
            self.clash = self.clash or code

    def meaning(self, value: Any) -> str | None:
        """What the value means; None if the table does not say, or says two things."""
        key = spelled(value)
        if key is None:
            return None
        if key in self.exact:
            return self.exact[key]
        meanings = {meaning for _code, meaning in self._fitting(key)}
        if meanings:
            return meanings.pop() if len(meanings) == 1 else None
        return self.others if key else None

    def _fitting(self, key: str) -> list[tuple[str, str]]:
        """The codes with a `*` that are for this value, with their meanings."""
        ends = [(f"*{end}", meaning) for end, meaning in self.ends if key.endswith(end)]
        begins = [(f"{begin}*", meaning) for begin, meaning in self.begins if key.startswith(begin)]
        return [*begins, *ends]

    def fault(self, value: Any) -> str:
        """Why a value has no meaning."""
        fitting = dict(reversed([(m, code) for code, m in self._fitting(spelled(value) or "")]))
        if len(fitting) < 2:
            return "has no meaning in the mapping"
        both = " and ".join(f"{meaning} ({code})" for meaning, code in sorted(fitting.items()))
        return f"has two meanings in the mapping: {both}"


YES_NO = Codes(LABELS)


def time(value: Any) -> str:
    """A time in ISO 8601: of a text as it is, of a number of seconds or milliseconds in UTC. A
    smaller number than FIRST_SECOND is kept as it is. Raises BadPrompt.
    """
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
        raise BadPrompt(f"{quoted(value)} is no time") from None


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
