"""Pages of errors that come before or instead of a view's own answer; problem details for the API.

They need neither the database nor an account: that may be what is missing.
"""

from __future__ import annotations

import sys
from typing import Any

from django.core.exceptions import BadRequest, DisallowedHost, RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from people import faults, proxy_faults
from people.api import problems
from people.logs import loaded_user

RETRY_SECONDS = 5


def refuse(request: HttpRequest, status: int, why: str) -> HttpResponse:
    """An error page, or problem details for the API."""
    return _respond(request, status, why, "refused.html")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler of status 400: a body or a head that it does not read."""
    if isinstance(exception, RequestDataTooBig):
        return refuse(request, 413, problems.too_large())
    if isinstance(exception, DisallowedHost):
        return refuse(request, 400, proxy_faults.unknown_host(request))
    if isinstance(exception, BadRequest):
        return refuse(request, 400, str(exception))
    return refuse(request, 400, problems.unreadable())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's view of a form whose origin or token is wrong."""
    why = proxy_faults.untrusted_origin(reason) or _(
        "The form's token is missing or out of date, or the browser sends no cookies. Load the "
        "page again, and send the form again."
    )
    return refuse(request, 403, why)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler of status 500: an error that nothing else has answered."""
    error = sys.exc_info()[1]
    if faults.disk_is_full(error):
        return disk_full(request)
    if faults.database_is_away(error):
        return database_away(request)
    return _respond(
        request, 500, _("Something went wrong here. The log has the details."), "500.html"
    )


def disk_full(request: HttpRequest) -> HttpResponse:
    why = _(
        "Nothing of this request was stored. Tell an administrator, who can free some space; what "
        "was stored before is safe."
    )
    return _respond(request, 507, why, "unavailable.html", full=True, again=_again(request))


def database_away(request: HttpRequest) -> HttpResponse:
    why = _("Try again in a moment. What was submitted before is stored.")
    response = _respond(request, 503, why, "unavailable.html", again=_again(request))
    response["Retry-After"] = str(RETRY_SECONDS)
    return response


def _again(request: HttpRequest) -> str:
    """The address to try again; none for a form, which the browser's *Back* still has."""
    return request.get_full_path() if request.method in ("GET", "HEAD") else ""


def _respond(
    request: HttpRequest, status: int, why: str, template: str, **context: Any
) -> HttpResponse:
    if request.path_info.startswith("/api/"):
        return JsonResponse(
            problems.body(status, why), status=status, content_type=problems.MEDIA_TYPE
        )
    context |= {"why": why, "user": loaded_user(request)}
    return HttpResponse(render_to_string(template, context), status=status)
