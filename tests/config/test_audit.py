"""`make lint` names known advisories of installed packages, and says what it could not check."""

import json
import runpy

import pytest
from django.conf import settings

report = runpy.run_path(str(settings.BASE_DIR / ".ci" / "audit.py"))["report"]
CLEAN = {"name": "django", "version": "5.2.19", "vulns": []}
ADVISORY = {"id": "PYSEC-2026-1", "fix_versions": ["9.2", "10.0"], "description": "…"}
BAD = {"name": "pillow", "version": "9.1", "vulns": [ADVISORY]}
UNKNOWN = {"name": "podium", "skip_reason": "Dependency not found on PyPI"}


def output(*packages) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_a_known_advisory_fails_and_is_named():
    assert report(output(CLEAN, BAD), "Found 1") == (
        "Advisories: 1 for 2 packages.\npillow 9.1: PYSEC-2026-1, fixed in 9.2, 10.0",
        True,
    )


def test_what_is_not_on_pypi_is_named_as_not_checked():
    assert report(output(CLEAN, UNKNOWN), "") == (
        "Advisories: 0 for 1 packages; not on PyPI, not checked: podium.",
        False,
    )


@pytest.mark.parametrize(
    ("printed", "errors", "why"),
    [
        ("", "ERROR: x\nrequests.exceptions.ConnectionError: refused", "ConnectionError: refused"),
        ("", "No module named pip_audit", "No module named pip_audit"),
        ("", "", "no reason given"),
        # an index that has no advisories answers 404 for every package
        (output(UNKNOWN, UNKNOWN), "No known vulnerabilities found", "none of 2 packages"),
    ],
)
def test_without_advisories_it_says_that_nothing_was_checked(printed, errors, why):
    told, failed = report(printed, errors)

    assert told.startswith("Advisories: not checked (")
    assert why in told
    assert not failed
