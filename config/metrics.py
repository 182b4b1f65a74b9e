"""/metrics for Prometheus: the counts of requests, and figures of the queue, jobs and this host.

Figures of the database are read with a number of queries that does not grow with the tasks, once
in SECONDS for all processes together.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from typing import Any

import redis
from django.conf import settings
from django.core.cache import cache
from django.db import Error
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from labeling.models import Assignment, Candidate, RankingTask
from labeling.models.tasks import FOR_A_GROUP, FOR_A_PERSON, FOR_ANYBODY
from modelops import liveness
from modelops.kinds import QUEUES
from modelops.models import Job
from people.db.clock import now
from people.metrics import counted
from people.models import Project

SECONDS = 15
PROJECTS = 50  # with a label of their own; the others are one
JOBS = 20  # running ones whose answers are looked at
NEWEST = 200  # answers of a job, for their mean length
OTHERS = "(others)"  # no project's address
Rows = list[list[Any]]  # labels, then the value


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus's text, for who sends `Authorization: Bearer` with PODIUM_METRICS_TOKEN."""
    expected = f"Bearer {settings.METRICS_TOKEN}"
    sent = request.headers.get("Authorization", "")
    if not settings.METRICS_TOKEN or not constant_time_compare(sent, expected):
        raise Http404
    figures = CollectorRegistry()
    figures.register(Figures())
    body = generate_latest(counted()) + generate_latest(figures)
    return HttpResponse(body, content_type=CONTENT_TYPE_PLAIN_0_0_4)


class Figures(Collector):
    def collect(self) -> Iterator[Metric]:
        stored, broker = _stored(), _broker()
        up = [["database", stored is not None], ["broker", broker is not None]]
        yield _gauge("podium_up", "1 where the part answers.", ["part"], up)
        stored, broker = stored or {}, broker or {}
        yield _gauge(
            "podium_tasks_free",
            "Tasks with a free place, by whom they are offered to.",
            ["project", "offered_to"],
            stored.get("tasks", []),
        )
        leases = stored.get("leases", [])
        yield _gauge("podium_leases", "Places that a labeler holds.", [], leases)
        yield _gauge("podium_jobs", "Jobs.", ["kind", "state"], stored.get("jobs", []))
        yield _gauge(
            "podium_job_units_per_second",
            "Progress of running jobs, in the units of their kind: answers, rows, steps.",
            ["kind"],
            stored.get("units", []),
        )
        yield _gauge(
            "podium_sampling_tokens_per_second",
            "Tokens that running sampling jobs write, by the length of their newest answers.",
            [],
            stored.get("tokens", []),
        )
        workers = broker.get("workers", [])
        yield _gauge("podium_workers", "Workers alive, on all hosts.", ["queue"], workers)
        messages = broker.get("messages", [])
        help_ = "Messages of Celery that wait in the broker."
        yield _gauge("podium_broker_messages", help_, ["queue"], messages)
        help_ = "Bytes of the disks below the data folder and the store, a folder."
        yield _gauge("podium_disk_bytes", help_, ["place", "state"], _disks())


def _gauge(name: str, help_: str, labels: list[str], rows: Iterable[list]) -> Metric:
    family = GaugeMetricFamily(name, help_, labels=labels)
    for *values, value in rows:
        family.add_metric(values, value)
    return family


def _stored() -> dict[str, Rows] | None:
    """Figures of the database, which are at most SECONDS old; None where it is away."""
    try:
        return cache.get_or_set("metrics", _read, SECONDS)
    except Error:
        return None


def _read() -> dict[str, Rows]:
    live = Assignment.objects.filter(state=Assignment.State.LEASED, leased_until__gt=now())
    jobs = Job.objects.values_list("kind", "state").annotate(Count("pk")).order_by()
    running = list(Job.objects.filter(state=Job.State.RUNNING))
    units: dict[str, float] = {}
    for job in running:
        units[job.kind] = units.get(job.kind, 0) + job.rate
    return {
        "tasks": _tasks(),
        "leases": [[live.count()]],
        "jobs": [list(row) for row in jobs],
        "units": [list(row) for row in units.items()],
        "tokens": [[sum(_tokens_per_second(job) for job in _sampling(running))]],
    }


def _tasks() -> Rows:
    """Tasks that wait for people. The condition of an index, so that only it is read."""
    rows: Rows = []
    slugs = dict(Project.objects.values_list("pk", "slug"))
    audiences = {"anybody": FOR_ANYBODY, "person": FOR_A_PERSON, "group": FOR_A_GROUP}
    for audience, condition in audiences.items():
        offered = RankingTask.objects.filter(condition, sort_key__isnull=False)
        grouped = offered.values_list("project").annotate(n=Count("pk"))
        counts = list(grouped.order_by("-n", "project"))
        named, others = counts[:PROJECTS], counts[PROJECTS:]
        rows += [[slugs.get(project, OTHERS), audience, n] for project, n in named]
        if rest := sum(n for _project, n in others):
            rows.append([OTHERS, audience, rest])
    return rows


def _sampling(running: list[Job]) -> list[Job]:
    return [job for job in running if job.kind == Job.Kind.SAMPLE and job.rate][:JOBS]


def _tokens_per_second(job: Job) -> float:
    newest = Candidate.objects.filter(job=job, tokens__isnull=False).order_by("-pk")
    lengths = list(newest.values_list("tokens", flat=True)[:NEWEST])
    return job.rate * sum(lengths) / len(lengths) if lengths else 0.0


def _broker() -> dict[str, Rows] | None:
    try:
        with liveness.broker() as client:
            workers = [list(row) for row in liveness.alive(client).items()]
            messages = [[queue, client.llen(queue)] for queue in QUEUES]
    except redis.RedisError:
        return None
    return {"workers": workers, "messages": messages}


def _disks() -> Rows:
    places = {"data": settings.VAR}
    if settings.STORE and not settings.STORE.startswith("s3://"):
        places["store"] = settings.STORE
    rows: Rows = []
    for place, folder in places.items():
        try:
            usage = shutil.disk_usage(folder)
        except OSError:
            continue
        rows += [[place, "free", usage.free], [place, "total", usage.total]]
    return rows
