"""What goes wrong, as the server says it (RFC 9457)."""

from __future__ import annotations

from typing import Any

import httpx


class Problem(Exception):
    """A request was refused. `errors` names the fields that it concerns: [{"field": …, "detail":
    …}].
    """

    def __init__(self, status: int, told: dict[str, Any]):
        self.status = status
        self.type: str = told.get("type", "about:blank")
        self.detail: str = told.get("detail", "")
        self.errors: list[dict[str, str]] = told.get("errors", [])
        at = "; ".join(
            f"{one['field']}: {one['detail']}" if one["field"] else one["detail"]
            for one in self.errors
        )
        super().__init__(f"{status} {told.get('title', '')}: {at or self.detail}")


class Refused(Problem):
    """It can't be done as things stand (409, 410, 412): the detail says why."""


class NotNow(Problem):
    """The server could not answer, or not yet, and went on so however often it was asked (429, 502
    to 504).
    """


class JobFailed(Exception):
    """A job ended without a result; the text is its error."""

    def __init__(self, job: dict[str, Any]):
        self.job = job
        super().__init__(
            f"job {job['id']} ({job['kind']}) is {job['state']}: "
            f"{job.get('error') or 'it was stopped'}"
        )


def of(response: httpx.Response) -> Problem:
    """The problem that a response tells."""
    try:
        told = response.json()
    except ValueError:
        told = {"title": response.reason_phrase, "detail": response.text[:200]}
    kind = (
        NotNow
        if response.status_code in AGAIN
        else Refused
        if response.status_code in (409, 410, 412)
        else Problem
    )
    return kind(response.status_code, told if isinstance(told, dict) else {})


AGAIN = (429, 502, 503, 504)  # worth another try
