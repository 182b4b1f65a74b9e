"""The size limit of a request body: small, except for uploads by logged-in users.

The limit is known before the body is read: the server calls `largest`, and people/middleware.py
writes the response to a refused body.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from django.urls import Resolver404, resolve

from people import tokens
from people.sessions import SessionStore

# Key in the WSGI environment of a request whose body the server refused: the response status.
REFUSED = "podium.refused"
SMALL = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
FORM_BYTES = 2**20  # for the other fields of a form with files


def takes_upload(view: Any) -> Any:
    """Decorator for a view or an endpoint class that accepts uploads."""
    view.takes_upload = True
    return view


def announced(request: HttpRequest) -> int:
    """The Content-Length of the request; 0 where it has none, or an invalid one."""
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


def limit(request: HttpRequest) -> int:
    """The largest body of this request, in bytes."""
    try:
        view = resolve(request.path_info).func
    except Resolver404:
        return SMALL
    view = getattr(view, "cls", view)  # the class of an endpoint
    if getattr(view, "takes_upload", False) and is_authenticated(request):
        return settings.UPLOAD_LIMIT + FORM_BYTES
    return SMALL


def is_authenticated(request: HttpRequest) -> bool:
    """Whether the request has a valid token or session."""
    kind, _space, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return tokens.find(text.strip()) is not None
    return request.user.is_authenticated


def largest(environ: dict[str, Any]) -> int:
    """The same for a server that has only the headers of a request."""
    request = WSGIRequest(environ | {"wsgi.input": BytesIO()})
    request.session = SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    request.user = auth.get_user(request)
    return limit(request)
