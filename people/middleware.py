"""Middleware: the user's time zone and language, a proxy's scheme, and the limit on bodies."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils import timezone, translation
from django.utils.log import log_response
from django.utils.translation import gettext as _

from people import error_pages, proxy_faults, request_limits, sessions


class OwnSettings:
    """Show times in the user's time zone and text in the user's language. Note where they are
    logged in.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest):
        if not request.user.is_authenticated:
            return self.get_response(request)
        sessions.note(request, request.user)
        # Django's LocaleMiddleware sets the language at the start of each request: no reset needed.
        translation.activate(request.user.language)
        with timezone.override(zoneinfo.ZoneInfo(request.user.zone)):
            return self.get_response(request)


class BelowPath:
    """Refuse what is not below PODIUM_PATH, except what programs on this machine ask for."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        outside = proxy_faults.OUTSIDE in request.META
        if outside and not re.fullmatch(f"/({settings.ASKED_FROM_HERE})", request.path_info):
            return error_pages.refuse(request, 404, proxy_faults.outside(request))
        return self.get_response(request)


class SchemeSaid:
    """Where plain requests are redirected to https: refuse what a proxy passed on without its
    scheme, in words, instead of redirecting it for ever.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not settings.SECURE_SSL_REDIRECT or request.is_secure():
            return self.get_response(request)
        path = request.path.lstrip("/")
        exempt = any(re.search(pattern, path) for pattern in settings.SECURE_REDIRECT_EXEMPT)
        if exempt or not proxy_faults.came_by_tls_unsaid(request):
            return self.get_response(request)
        why = proxy_faults.scheme_unsaid(request)
        response = error_pages.refuse(request, 400, why)
        log_response("%s", why, response=response, request=request, logger=proxy_faults.log)
        return response


class LimitBodies:
    """Refuse a too large body before it is read; answer for bodies that the server refused."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        status = request.META.get(request_limits.REFUSED)
        if status == 408:
            return error_pages.refuse(
                request,
                408,
                _("The request took too long to arrive. Try again, or send less at a time."),
            )
        if status == 503:
            return error_pages.database_away(request)
        if status == 507:
            return error_pages.disk_full(request)
        length = request_limits.announced(request)
        if status == 413 or (
            length > request_limits.SMALL and length > request_limits.limit(request)
        ):
            size = filesizeformat(request_limits.limit(request))
            return error_pages.refuse(
                request,
                413,
                _("The request is larger than %(size)s. Send it in parts.") % {"size": size},
            )
        return self.get_response(request)
