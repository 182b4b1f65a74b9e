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

    def workers(self, **filters: Any) -> Iterator[Body]:
        """The workers of all hosts; `host`: those of this one. Administrators of the site only."""
        return self.transport.pages("workers", **filters)

    def create_account(self, email: str, **fields: Any) -> Body:
        """The account, with its first password."""
        return self.transport.post("accounts", {"email": email, **fields})

    def change_me(self, **fields: Any) -> Body:
        """One's own name and settings."""
        return self.transport.edit("me", fields)

    def account(self, account: int) -> Body:
        return self.transport.get(f"accounts/{account}")

    def change_account(self, account: int, **fields: Any) -> Body:
        return self.transport.edit(f"accounts/{account}", fields)

    def pause_account(self, account: int) -> Body:
        """Its sessions and tokens end."""
        return self.transport.post(f"accounts/{account}/pause")

    def activate_account(self, account: int) -> Body:
        return self.transport.post(f"accounts/{account}/activate")

    def unlock_account(self, account: int) -> Body:
        """After too many wrong passwords."""
        return self.transport.post(f"accounts/{account}/unlock")

    def new_password(self, account: int) -> str:
        """A random one, told this once; all sessions of the account end."""
        return self.transport.post(f"accounts/{account}/password")["password"]

    def invitations(self) -> Iterator[Body]:
        """Those to the site that nobody has accepted yet."""
        return self.transport.pages("invitations")

    def invite(self, email: str) -> Body:
        """An invitation to the site, with its link, told this once."""
        return self.transport.post("invitations", {"email": email})

    def renew_invitation(self, invitation: int) -> Body:
        """A new link; the old one works no more."""
        return self.transport.post(f"invitations/{invitation}/renew")

    def withdraw_invitation(self, invitation: int) -> None:
        self.transport.delete(f"invitations/{invitation}")

    def tokens(self) -> Iterator[Body]:
        """One's own valid tokens, without their texts."""
        return self.transport.pages("tokens")

    def revoke_token(self, token: int) -> None:
        self.transport.delete(f"tokens/{token}")

    def make_token(self, name: str, scopes: list[str], days: int = 90) -> str:
        """The text of a new token of one's own; it is told this once."""
        return self.transport.post("tokens", {"name": name, "scopes": scopes, "days": days})[
            "token"
        ]
