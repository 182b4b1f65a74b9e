"""Pages of errors that come before or instead of a view's own answer; problem details for the API.

They need neither the database nor an account: that may be what is missing.
"""

from __future__ import annotations

from django.core.exceptions import BadRequest, RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string

from people.api import problems


def refuse(request: HttpRequest, status: int, why: str) -> HttpResponse:
    """An error page, or problem details for the API."""
    if request.path_info.startswith("/api/"):
        return JsonResponse(
            problems.body(status, why), status=status, content_type=problems.MEDIA_TYPE
        )
    return HttpResponse(render_to_string("refused.html", {"why": why}), status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler of status 400: a body or a head that it does not read."""
    if isinstance(exception, RequestDataTooBig):
        return refuse(request, 413, problems.too_large())
    if isinstance(exception, BadRequest):
        return refuse(request, 400, str(exception))
    return refuse(request, 400, problems.unreadable())
