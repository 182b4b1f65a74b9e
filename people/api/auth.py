"""Authentication: an API token, or the session of a browser."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import (
    BaseAuthentication,
    SessionAuthentication,
    get_authorization_header,
)
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from people import proxy_faults, tokens
from people.models import Token, User


class Bearer(BaseAuthentication):
    """API tokens, sent as `Authorization: Bearer podium_…`."""

    def authenticate(self, request: Request) -> tuple[User, Token] | None:
        kind, _space, text = get_authorization_header(request).decode("latin-1").partition(" ")
        if kind.lower() != "bearer":
            return None
        token = tokens.find(text.strip())
        if token is None:
            raise AuthenticationFailed(
                "This token is unknown, expired or revoked, or its owner's account is paused."
            )
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class Session(SessionAuthentication):
    """The session of the pages, with a CSRF token."""

    def enforce_csrf(self, request: Request) -> None:
        try:
            super().enforce_csrf(request)
        except PermissionDenied as error:
            reason = str(error.detail).removeprefix("CSRF Failed: ")
            why = proxy_faults.untrusted_origin(reason)
            raise PermissionDenied(why) if why else error from None


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = Bearer
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token from the page *Your settings, Tokens*.",
        }


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = Session
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "The session of a logged-in browser.",
        }
