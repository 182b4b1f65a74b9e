"""The quick look before a pattern never hides what the pattern would find."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.text import personal_data

PIECES = st.sampled_from(
    [
        "Call 555-123-4567",
        "+49 30 1234567",
        "(555) 123-4567",
        "٥٥٥-١٢٣-٤٥٦٧",
        "4111 1111 1111 1111",
        "123-45-6789",
        "DE89 3704 0044 0532 0130 00",
        "NO9386011117947",
        "ann@example.org",
        "sk-" + "a" * 20,
        "ghs_" + "b" * 30,
        "AKIA" + "C" * 16,
        "xoxb-" + "d" * 12,
        "eyJ" + "e" * 10 + ".eyJ" + "f" * 10 + "." + "g" * 10,
        "-----BEGIN RSA PRIVATE KEY-----\nabc",
        "glpat-" + "h" * 20,
        "hf_" + "i" * 30,
        "AIza" + "j" * 35,
        "github_pat_" + "k" * 40,
        "schön",
        "1",
        "2024",
        "IN CAPITALS",
        ". ",
        "-",
    ]
)


@given(st.lists(PIECES | st.text(max_size=4), max_size=8).map(" ".join))
def test_the_quick_look_changes_nothing(text):
    assert personal_data.mask(text) == with_all_patterns(text)


def with_all_patterns(text: str) -> str:
    for kind, _may_match, pattern, is_certain in personal_data.PATTERNS:
        text = pattern.sub(
            lambda match, kind=kind, is_certain=is_certain: (
                kind if is_certain(match[0]) else match[0]
            ),
            text,
        )
    return text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("AKIA" + "C" * 16, "[key]"),  # a key without any digit
        ("IBAN NO9386011117947", "IBAN [ID number]"),  # the shortest IBAN
        ("+49 30 12345", "[phone]"),  # no more than nine digits
        ("٥٥٥-١٢٣-٤٥٦٧", "[phone]"),  # digits of another script
    ],
)
def test_what_is_short_or_rare_is_masked_too(text, masked):
    assert personal_data.mask(text) == masked
