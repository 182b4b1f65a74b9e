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


# Whether a pattern may match a text at all: many times quicker than to look for it everywhere.

_KEYS = ("-----BEGIN ", "sk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "AKIA")
_KEYS += ("AIza", "xoxa-", "xoxb-", "xoxp-", "xoxr-", "xoxs-", "hf_", "glpat-", "eyJ")
_NO_DIGIT = bytes(set(range(256)) - set(b"0123456789"))
_NO_IBAN = bytes(set(_NO_DIGIT) - set(range(ord("A"), ord("Z") + 1)))
_DIGITS = 8  # in the shortest telephone number; ID and card numbers have more
_IBAN = 15  # letters and digits in the shortest one


def _may_hold_key(text: str) -> bool:
    return any(begin in text for begin in _KEYS)


def _may_hold_address(text: str) -> bool:
    return "@" in text


def _may_hold_number(text: str) -> bool:
    """Whether there are enough digits. Other scripts have digits too: their texts are searched."""
    return not text.isascii() or len(text.encode().translate(None, _NO_DIGIT)) >= _DIGITS


def _may_hold_iban(text: str) -> bool:
    return not text.isascii() or len(text.encode().translate(None, _NO_IBAN)) >= _IBAN


# The order matters: a later pattern could match a part of what an earlier one masks.
PATTERNS: list[tuple[str, Callable[[str], bool], re.Pattern, Callable[[str], bool]]] = [
    (
        "[key]",
        _may_hold_key,
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
        _may_hold_address,
        re.compile(
            r"[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,4}\.[A-Za-z]{2,24}\b"
        ),
        _always,
    ),
    (
        "[ID number]",
        _may_hold_iban,
        re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
        _is_iban,
    ),
    (
        "[card]",
        _may_hold_number,
        re.compile(r"(?<![\d.,])\d(?:[ -]?\d){12,18}(?![\d.,]\d|\d)"),
        _is_card,
    ),
    (
        "[ID number]",
        _may_hold_number,
        re.compile(r"\b(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}\b"),
        _always,
    ),
    (
        "[phone]",
        _may_hold_number,
        re.compile(
            r"(?<![\w.+-])(?:\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}"
            r"|\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}[.-]\d{3}[.-]\d{4})(?![\w-]|\.\d)"
        ),
        _is_phone,
    ),
]


def mask(text: str) -> str:
    """The text with all personal data replaced by its kind, like [e-mail]."""
    for kind, may_match, pattern, is_certain in PATTERNS:
        if not may_match(text):
            continue

        def masked(
            match: re.Match, kind: str = kind, is_certain: Callable[[str], bool] = is_certain
        ) -> str:
            return kind if is_certain(match[0]) else match[0]

        text = pattern.sub(masked, text)
    return text
