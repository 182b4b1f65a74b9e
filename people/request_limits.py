"""How large a request may be: small, but for who is logged in where files are uploaded.

Known before its body is read: the server asks `largest`, and people/middleware.py words the
refusal.
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

# In the environment of a request whose body the server refused: the status to answer.
REFUSED = "podium.refused"
SMALL = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
AROUND = 2**20  # bytes of a form around its files


def takes_upload(view: Any) -> Any:
    """Decorator of a view, or of an endpoint's class: its body may be as large as an upload."""
    view.takes_upload = True
    return view


def announced(request: HttpRequest) -> int:
    """The length that the request's head gives its body; 0 where it gives none."""
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


def limit(request: HttpRequest) -> int:
    """Bytes that the body of this request may have."""
    try:
        view = resolve(request.path_info).func
    except Resolver404:
        return SMALL
    takes = getattr(getattr(view, "cls", view), "takes_upload", False)
    return settings.UPLOAD_LIMIT + AROUND if takes and is_somebody(request) else SMALL


def is_somebody(request: HttpRequest) -> bool:
    """Whether a session or a token lets the sender in."""
    kind, _space, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return tokens.find(text.strip()) is not None
    return request.user.is_authenticated


def largest(environ: dict[str, Any]) -> int:
    """The same for a server that has the head of a request alone."""
    request = WSGIRequest(environ | {"wsgi.input": BytesIO()})
    request.session = SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    request.user = auth.get_user(request)
    return limit(request)
