"""Middleware: a page whose files the store does not give says so."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from modelops.stores import StoreFault
from people.error_pages import refuse


class StoreFaults:
    """503 with the reason. The API answers by itself (people/api/problems.py)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return refuse(request, 503, str(error)) if isinstance(error, StoreFault) else None
