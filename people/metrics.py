"""What is counted of requests, for Prometheus: /metrics answers with it (config/metrics.py).

`make up` sets PROMETHEUS_MULTIPROC_DIR, a folder in which each process keeps its counts: any of
them answers with the totals of all. prometheus_client is used without django-prometheus, which
would replace the engines of the database and make some ten thousand series of views and methods.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import perf_counter

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
OWN = CollectorRegistry()  # what this process counted

requests = Counter(
    "podium_requests",
    "Requests that were answered, by the pattern of their address.",
    ["route", "method", "status"],
    registry=OWN,
)
request_seconds = Histogram(
    "podium_request_seconds",
    "Seconds until a request was answered, without the sending of a file.",
    ["surface"],
    buckets=SECONDS,
    registry=OWN,
)

rankings_submitted = Counter(
    "podium_rankings_submitted", "Rankings that people submitted.", registry=OWN
)


def counted() -> CollectorRegistry:
    """The counts of all processes of this host."""
    if FOLDER not in os.environ:
        return OWN
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry


class CountRequests:
    """Count each request, and how long it takes."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        if not settings.METRICS_TOKEN:
            raise MiddlewareNotUsed
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        start = perf_counter()
        response = self.get_response(request)
        surface = "api" if request.path_info.startswith("/api/") else "page"
        request_seconds.labels(surface).observe(perf_counter() - start)
        match = request.resolver_match
        method = request.method if request.method in METHODS else "other"
        requests.labels(match.route if match else "", method, response.status_code).inc()
        return response
