"""The site: oneself, projects, accounts."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any

from podium_client.project import ProjectClient
from podium_client.transport import Body, Transport


class Podium:
    """A Podium and who one is there. Use it as a context manager, or call close()."""

    def __init__(self, address: str, token: str, **options: Any):
        """`options`: attempts, timeout in seconds, and those of httpx.Client (verify, proxy, …)."""
        self.transport = Transport(address, token, **options)

    def __enter__(self) -> Podium:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.transport.http.close()

    def me(self) -> Body:
        return self.transport.get("me")

    def project(self, slug: str) -> ProjectClient:
        """A project by its short name; nothing is asked of the server yet."""
        return ProjectClient(self.transport, slug)

    def projects(self) -> Iterator[Body]:
        """The projects that one is in, each with one's role."""
        return self.transport.pages("projects")

    def create_project(self, slug: str, name: str, **settings: Any) -> ProjectClient:
        """`settings`: k, overlap. Administrators of the site only."""
        self.transport.post("projects", {"slug": slug, "name": name, **settings})
        return self.project(slug)

    def accounts(self, **filters: Any) -> Iterator[Body]:
        return self.transport.pages("accounts", **filters)

    def create_account(self, email: str, **fields: Any) -> Body:
        """The account, with its first password."""
        return self.transport.post("accounts", {"email": email, **fields})

    def make_token(self, name: str, scopes: list[str], days: int = 90) -> str:
        """The text of a new token of one's own; it is told this once."""
        return self.transport.post("tokens", {"name": name, "scopes": scopes, "days": days})[
            "token"
        ]
