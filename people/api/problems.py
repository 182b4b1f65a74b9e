"""Errors as RFC 9457 problem details, in one format for all apps."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.exceptions import ValidationError as Invalid
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import exceptions, serializers
from rest_framework.response import Response
from rest_framework.views import set_rollback

from people import logs
from people.access import Refused

MEDIA_TYPE = "application/problem+json"
_registered: dict[type[Exception], tuple[int, str, str]] = {}


class FieldProblem(serializers.Serializer):
    field = serializers.CharField(
        help_text="The path of the field in the request, such as `answers.2.text`."
    )
    detail = serializers.CharField()


class Problem(serializers.Serializer):
    """What happened and what to do."""

    type = serializers.CharField(
        help_text="`about:blank`, or `urn:podium:` and a stable code for scripts."
    )
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = FieldProblem(many=True, required=False)
    request_id = serializers.CharField(
        required=False, help_text="The id of the request in Podium's log, as in `X-Request-ID`."
    )
    successor = serializers.IntegerField(
        required=False,
        help_text="Of a dataset that was withdrawn (410): the id of the one that replaces it.",
    )


class Unprocessable(exceptions.ValidationError):
    """The request is well formed, but a rule refuses it in the current state: 422 instead of
    400.
    """

    status_code = 422


class MustMatch(exceptions.APIException):
    status_code = 412
    default_detail = (
        "It has changed since you read it. Read it again, and send your change with the new ETag."
    )


class MatchMissing(exceptions.APIException):
    status_code = 428
    default_detail = (
        "Send the ETag that you read as If-Match, so that you don't overwrite another change."
    )


def register(error: type[Exception], status: int, code: str, field: str = "") -> None:
    """Map an exception class to a response. The app that defines the class calls this.

    `field`: the field of the request that the error always concerns, if there is one.
    """
    _registered[error] = status, code, field


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. None for an unexpected error, which becomes a 500."""
    problem = _problem(error)
    if problem is None:
        return None
    status, code, detail, errors = problem
    set_rollback()
    response = respond(status, detail, code, errors, headers=_headers(error))
    response.data |= getattr(error, "members", {})
    return response


def respond(
    status: int,
    detail: str,
    code: str = "",
    errors: list[dict] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """A response with problem details."""
    problem = body(status, detail, code)
    if errors:
        problem["errors"] = errors
    return Response(problem, status=status, content_type=MEDIA_TYPE, headers=headers)


def body(status: int, detail: str, code: str = "") -> dict[str, Any]:
    """Problem details without field errors."""
    problem = {
        "type": f"urn:podium:{code}" if code else "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    request_id = logs.current_id()
    return problem | {"request_id": request_id} if request_id else problem


def _problem(error: Exception) -> tuple[int, str, str, list[dict]] | None:
    """(status, code, detail, field errors), or None for an unexpected error."""
    for error_class in type(error).__mro__:
        if error_class in _registered:
            status, code, field = _registered[error_class]
            errors = [{"field": field, "detail": str(error)}] if field else []
            return status, code, str(error), errors
    match error:
        case exceptions.ValidationError():
            return _invalid(list(_flat(error.detail)), error.status_code)
        case Invalid():
            messages = error.message_dict if hasattr(error, "error_dict") else error.messages
            return _invalid(list(_flat(messages)))
        case Refused(field=str(field)):
            return _invalid([{"field": field, "detail": str(error)}], 422)
        case Refused():
            return 409, "refused", str(error), []
        case Http404():
            return 404, "", "This does not exist, or you have no access to it.", []
        case RequestDataTooBig():
            return 413, "", too_large(), []
        case BadRequest():
            return 400, "", str(error), []
        case SuspiciousOperation():
            return 400, "", unreadable(), []
        case PermissionDenied():
            return 403, "", str(error) or "Your role in this project does not allow this.", []
        case exceptions.APIException():
            return error.status_code, "", str(error.detail), []
    return None


def too_large() -> str:
    return _("A field of the request is larger than 4 MB. Send it in parts, or as a file.")


def unreadable() -> str:
    return _(
        "The request can't be read: it has too many fields, or names or values that nothing has."
    )


def _invalid(errors: list[dict], status: int = 400) -> tuple[int, str, str, list[dict]]:
    """400 for an error in the request itself; 422 for what a rule refuses in the current state."""
    return status, "invalid", " ".join(error["detail"] for error in errors[:3]), errors


def _flat(detail: Any, path: str = "") -> Iterator[dict]:
    """One entry for each message of a nested structure."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            is_field = name not in ("non_field_errors", "__all__")
            yield from _flat(inner, _join(path, str(name)) if is_field else path)
    elif isinstance(detail, list):
        for number, inner in enumerate(detail):
            is_nested = isinstance(inner, dict | list)
            yield from _flat(inner, _join(path, str(number)) if is_nested else path)
    else:
        yield {"field": path, "detail": str(detail)}


def _join(path: str, name: str) -> str:
    return ".".join(part for part in (path, name) if part)


def _headers(error: Exception) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    return headers
