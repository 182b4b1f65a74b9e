"""Mask personal data that clear patterns find: its kind replaces it, so that the text stays
readable.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from stdnum import luhn
from stdnum.iso7064 import mod_97_10


def _is_card(match: str) -> bool:
    digits = re.sub(r"\D", "", match)
    return 13 <= len(digits) <= 19 and digits[0] in "3456" and luhn.is_valid(digits)


def _is_iban(match: str) -> bool:
    """ISO 13616: the checksum over the first four characters moved to the end. Of any country:
    stdnum.iban knows only those that were registered when it was released.
    """
    iban = re.sub(r"\s", "", match).upper()
    return 15 <= len(iban) <= 34 and mod_97_10.is_valid(iban[4:] + iban[:4])


def _is_phone(match: str) -> bool:
    return 8 <= len(re.sub(r"\D", "", match)) <= 15


def _always(_match: str) -> bool:
    return True


# The order matters: a later pattern could match a part of what an earlier one masks.
PATTERNS: list[tuple[str, re.Pattern, Callable[[str], bool]]] = [
    (
        "[key]",
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
            r"|\b(?:sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{40,}|AKIA[0-9A-Z]{16}"
            r"|AIza[\w-]{35}|xox[abprs]-[\w-]{10,}|hf_[A-Za-z0-9]{30,}|glpat-[\w-]{20,}"
            r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})",
            re.S,
        ),
        _always,
    ),
    (
        "[e-mail]",
        re.compile(
            r"[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,4}\.[A-Za-z]{2,24}\b"
        ),
        _always,
    ),
    (
        "[ID number]",
        re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
        _is_iban,
    ),
    ("[card]", re.compile(r"(?<![\d.,])\d(?:[ -]?\d){12,18}(?![\d.,]\d|\d)"), _is_card),
    ("[ID number]", re.compile(r"\b(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}\b"), _always),
    (
        "[phone]",
        re.compile(
            r"(?<![\w.+-])(?:\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}"
            r"|\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}[.-]\d{3}[.-]\d{4})(?![\w-]|\.\d)"
        ),
        _is_phone,
    ),
]
_HINT = re.compile(r"[@\d]|-----BEGIN|sk-|xox|gh[pousr]_|github_pat_|hf_|glpat-|eyJ|AIza")


def mask(text: str) -> str:
    """The text with all personal data replaced by its kind, like [e-mail]."""
    if not _HINT.search(text):
        return text
    for kind, pattern, is_certain in PATTERNS:

        def masked(match: re.Match, kind=kind, is_certain=is_certain) -> str:
            return kind if is_certain(match[0]) else match[0]

        text = pattern.sub(masked, text)
    return text
