"""Authentication: an API token, or the session of a browser."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import (
    BaseAuthentication,
    SessionAuthentication,
    get_authorization_header,
)
from rest_framework.exceptions import AuthenticationFailed

from people import tokens


class Bearer(BaseAuthentication):
    """API tokens, sent as `Authorization: Bearer podium_…`."""

    def authenticate(self, request):
        kind, _space, text = get_authorization_header(request).decode("latin-1").partition(" ")
        if kind.lower() != "bearer":
            return None
        token = tokens.find(text.strip())
        if token is None:
            raise AuthenticationFailed(
                "This token is unknown, expired or revoked, or its owner's account is paused."
            )
        return token.user, token

    def authenticate_header(self, request) -> str:
        return "Bearer"


class Session(SessionAuthentication):
    """The session of the pages, with a CSRF token."""


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = Bearer
    name = "token"

    def get_security_definition(self, auto_schema) -> dict:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token from the page *Your settings, Tokens*.",
        }


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = Session
    name = "session"

    def get_security_definition(self, auto_schema) -> dict:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "The session of a logged-in browser.",
        }
