"""What went wrong, as RFC 9457 problem details: one shape for every refusal, whichever room it
comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as Invalid
from django.http import Http404
from rest_framework import exceptions, serializers
from rest_framework.response import Response
from rest_framework.views import set_rollback

from people.access import Refused

MEDIA_TYPE = "application/problem+json"
_registered: dict[type[Exception], tuple[int, str, str]] = {}


class FieldProblem(serializers.Serializer):
    field = serializers.CharField(help_text="Where in the request, with dots: `answers.2.text`.")
    detail = serializers.CharField()


class Problem(serializers.Serializer):
    """What went wrong and what to do."""

    type = serializers.CharField(
        help_text="`about:blank`, or `urn:podium:` with a word that scripts may rely on."
    )
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = FieldProblem(many=True, required=False)


class Unprocessable(exceptions.ValidationError):
    """The request can be read, and a rule refuses it as things stand: 422 in place of 400."""

    status_code = 422


class MustMatch(exceptions.APIException):
    status_code = 412
    default_detail = (
        "It has changed since you read it: read it again, then send your change with its new ETag."
    )


class MatchMissing(exceptions.APIException):
    status_code = 428
    default_detail = (
        "Send the ETag that you read as If-Match, so that nobody's change is written over."
    )


def register(error: type[Exception], status: int, code: str, field: str = "") -> None:
    """Let errors of this class, raised by a verb, answer so; `field`: what in a request they are
    always about.

    The app that owns the class calls this.
    """
    _registered[error] = status, code, field


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """The answer to an error, or None for one that nobody foresaw."""
    found = _known(error)
    if found is None:
        return None
    status, code, detail, errors = found
    set_rollback()
    return respond(status, detail, code, errors, headers=_headers(error))


def respond(
    status: int, detail: str, code: str = "", errors: list[dict] | None = None, headers=None
) -> Response:
    told = body(status, detail, code) | ({"errors": errors} if errors else {})
    return Response(told, status=status, content_type=MEDIA_TYPE, headers=headers)


def body(status: int, detail: str, code: str = "") -> dict[str, Any]:
    return {
        "type": f"urn:podium:{code}" if code else "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }


def _known(error: Exception) -> tuple[int, str, str, list[dict]] | None:
    """(status, code, detail, errors at fields)."""
    for kind in type(error).__mro__:
        if kind in _registered:
            status, code, field = _registered[kind]
            return (
                status,
                code,
                str(error),
                [{"field": field, "detail": str(error)}] if field else [],
            )
    match error:
        case exceptions.ValidationError():
            return _invalid(list(_flat(error.detail)), error.status_code)
        case Invalid():
            return _invalid(
                list(_flat(error.message_dict if hasattr(error, "error_dict") else error.messages))
            )
        case Refused(field=str(field)):
            return _invalid([{"field": field, "detail": str(error)}], 422)
        case Refused():
            return 409, "refused", str(error), []
        case Http404():
            return 404, "", "There is no such thing here, or not for you.", []
        case PermissionDenied():
            return 403, "", str(error) or "Your role in this project does not allow it.", []
        case exceptions.APIException():
            return error.status_code, "", str(error.detail), []
    return None


def _invalid(errors: list[dict], status: int = 400) -> tuple[int, str, str, list[dict]]:
    """400 for what the request alone makes wrong; 422 for what a rule refuses as things stand."""
    return status, "invalid", " ".join(one["detail"] for one in errors[:3]), errors


def _flat(detail: Any, at: str = "") -> Iterator[dict]:
    """One entry for each message, however deep it lies."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _flat(
                inner, _below(at, "" if name in ("non_field_errors", "__all__") else str(name))
            )
    elif isinstance(detail, list):
        for number, inner in enumerate(detail):
            yield from _flat(
                inner, _below(at, str(number)) if isinstance(inner, dict | list) else at
            )
    else:
        yield {"field": at, "detail": str(detail)}


def _below(at: str, name: str) -> str:
    return ".".join(part for part in (at, name) if part)


def _headers(error: Exception) -> dict[str, str]:
    found = {}
    if challenge := getattr(error, "auth_header", None):
        found["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        found["Retry-After"] = str(int(wait) + 1)
    return found
