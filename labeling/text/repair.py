"""Repair one text, remove its control characters and estimate its length."""

from __future__ import annotations

import re
from functools import cache

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u200b\u2060\ufeff]")


def repair(text: str) -> str:
    """The text with wrong decoding (mojibake) repaired, in NFC. Quotes and character widths stay as
    they are.
    """
    if text.isascii():
        return text
    import ftfy

    return ftfy.fix_text(text, config=_config())


@cache
def _config():
    import ftfy

    return ftfy.TextFixerConfig(
        unescape_html=False,
        uncurl_quotes=False,
        fix_character_width=False,
        fix_latin_ligatures=False,
        remove_control_chars=False,
        remove_terminal_escapes=False,
        fix_line_breaks=False,
        normalization="NFC",
    )


def without_controls(text: str) -> str:
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def tidy(text: str) -> str:
    """The text without space around it. Space inside may mean something, in Markdown or in code."""
    return text.strip()


def tokens(text: str) -> int:
    """A rough number of tokens, as no tokenizer is at hand: one for each four characters or four
    for each three words, whichever is more.
    """
    return max(len(text) // 4, len(text.split()) * 4 // 3)
