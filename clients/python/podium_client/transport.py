"""Requests that may be repeated: each POST has a key of its own, so that it counts once however
often it is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import httpx
import tenacity

from podium_client import errors

Body = dict[str, Any]
CHUNK = 2**16


class Again(Exception):
    """An answer that is worth another try, and the seconds to wait before it, where the server
    said.
    """

    def __init__(self, response: httpx.Response):
        self.response = response
        try:
            self.wait = min(float(response.headers.get("Retry-After", "")), 60.0)
        except ValueError:
            self.wait = None


class Transport:
    def __init__(
        self, address: str, token: str, attempts: int = 6, timeout: float = 60, **options: Any
    ):
        self.attempts = attempts
        self.http = httpx.Client(
            base_url=address.rstrip("/") + "/api/v1/",
            headers={"Authorization": f"Bearer {token}", "User-Agent": "podium-client/0.1"},
            timeout=timeout,
            **options,
        )

    # Requests

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer, after as many tries as it takes. Raises errors.Problem, or httpx's own where
        nobody answers.
        """
        if method == "POST":
            options["headers"] = {"Idempotency-Key": uuid4().hex} | options.get("headers", {})
        try:
            response = self._retrying()(self._once, method, path.lstrip("/"), options)
        except Again as last:
            raise errors.of(last.response) from None
        if response.is_error:
            raise errors.of(response)
        return response

    def _once(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        response = self.http.request(method, path, **options)
        if response.status_code in errors.AGAIN:
            raise Again(response)
        return response

    def _retrying(self) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((httpx.TransportError, Again)),
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=_wait,
            reraise=True,
        )

    def get(self, path: str, **query: Any) -> Any:
        return _body(self.send("GET", path, params=_asked(query)))

    def post(self, path: str, body: Body | None = None) -> Any:
        return _body(self.send("POST", path, json=body or {}))

    def delete(self, path: str) -> None:
        self.send("DELETE", path)

    def edit(self, path: str, changes: Body) -> Body:
        """Change what is there now. Raises errors.Refused (412) where somebody else changed it in
        between.
        """
        tag = self.send("GET", path).headers["ETag"]
        return _body(self.send("PATCH", path, json=changes, headers={"If-Match": tag}))

    def pages(self, path: str, **query: Any) -> Iterator[Body]:
        """Every row of a list, page after page, as one goes on."""
        page = self.get(path, **query)
        while True:
            yield from page["results"]
            if not page["next"]:
                return
            page = _body(
                self.send(
                    "GET", str(httpx.URL(page["next"]).raw_path, "ascii").split("/api/v1/", 1)[1]
                )
            )

    # Files

    def download(self, path: str, to: Path, patience: float, **query: Any) -> Path:
        """Stream a file to `to`, which appears whole or not at all; what a lost connection cut off
        is taken up again.
        """
        arriving, until, failures = Arriving(to), monotonic() + patience, 0
        while True:
            try:
                wait = self._more(path, arriving, _asked(query))
            except httpx.TransportError:
                failures += 1
                if failures >= self.attempts:
                    raise
                wait = 0.25 * 2**failures
            if wait is None:
                return arriving.part.replace(to)
            if monotonic() + wait > until:
                raise TimeoutError(f"{path} was not ready after {patience:.0f} s")
            sleep(wait)

    def _more(self, path: str, arriving: Arriving, query: Body) -> float | None:
        """Add what comes: None once the file is whole, else the seconds to wait before asking
        again.
        """
        with self.http.stream(
            "GET",
            path.lstrip("/"),
            params=query,
            headers=arriving.wanted(),
            follow_redirects=True,  # to the store; the token does not go there
        ) as response:
            if response.status_code == 202 or response.status_code in errors.AGAIN:
                wait = Again(response).wait
                return 1.0 if wait is None else wait
            if response.is_error:
                response.read()
                raise errors.of(response)
            arriving.add(response)
        return None


class Arriving:
    """A file on its way: what is here of it, and which one it is."""

    def __init__(self, to: Path):
        self.part, self.tag = to.with_name(to.name + ".part"), ""
        self.part.unlink(missing_ok=True)

    def wanted(self) -> dict[str, str]:
        here = self.part.stat().st_size if self.part.exists() else 0
        plain = {"Accept-Encoding": "identity"}  # ranges count the file's own bytes
        return plain | (
            {"Range": f"bytes={here}-", "If-Range": self.tag} if here and self.tag else {}
        )

    def add(self, response: httpx.Response) -> None:
        self.tag = response.headers.get("ETag", "")
        with open(self.part, "ab" if response.status_code == 206 else "wb") as out:
            for chunk in response.iter_bytes(CHUNK):
                out.write(chunk)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    told = error.wait if isinstance(error, Again) else None
    return (
        tenacity.wait_random_exponential(multiplier=0.25, max=20)(state) if told is None else told
    )


def _body(response: httpx.Response) -> Any:
    return response.json() if response.content else None


def _asked(query: Body) -> Body:
    return {name: value for name, value in query.items() if value is not None}
