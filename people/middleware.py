"""A person's time zone and language, and the limits of a request's body."""

import zoneinfo

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from people import request_limits
from people.api import problems


class OwnSettings:
    """Times are stored in UTC and shown in the person's zone; texts are in the language that they
    chose.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if not request.user.is_authenticated:
            return self.get_response(request)
        translation.activate(
            request.user.language
        )  # Django's LocaleMiddleware begins each request anew
        with timezone.override(zoneinfo.ZoneInfo(request.user.zone)):
            return self.get_response(request)


class LimitBodies:
    """Refuses a body that is too large before it is read, and words what the server refused."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        status = request.META.get(request_limits.REFUSED)
        if status == 408:
            return refuse(
                request,
                408,
                _("The request took too long to arrive. Try again, or send less at once."),
            )
        length = request_limits.announced(request)
        if status == 413 or (
            length > request_limits.SMALL and length > request_limits.limit(request)
        ):
            size = filesizeformat(request_limits.limit(request))
            return refuse(
                request,
                413,
                _("At most %(size)s can be sent here: send it in parts.") % {"size": size},
            )
        return self.get_response(request)


def refuse(request: HttpRequest, status: int, why: str) -> HttpResponse:
    """A page, or for scripts a problem."""
    if request.path_info.startswith("/api/"):
        return JsonResponse(
            problems.body(status, why), status=status, content_type=problems.MEDIA_TYPE
        )
    return render(request, "refused.html", {"why": why}, status=status)
