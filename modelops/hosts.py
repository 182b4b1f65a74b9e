"""The hosts that work for this Podium, their worker processes, and what they are at.

A worker writes its row when it starts, and when something about it changes. Whether it lives, only
its key in the broker says (liveness.py); each sweep notes on the rows of those that live when they
were last seen.
"""

from __future__ import annotations

import hashlib
import logging
import socket
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import metadata
from pathlib import Path

import redis
from django.conf import settings
from django.db.models import QuerySet

from modelops import liveness
from modelops.liveness import Process
from modelops.models import Job, Worker
from people.db.clock import now
from people.retention import long_ago

log = logging.getLogger(__name__)
PACKAGES = ("config", "people", "modelops", "labeling", "workers")


@cache
def code() -> str:
    """A hash of the code of this installation: hosts that differ in it run different versions."""
    content = hashlib.sha256()
    root = Path(settings.BASE_DIR)
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            content.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    return content.hexdigest()[:12]


@cache
def torch() -> str:
    """The version of torch, "" without it."""
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return ""


# Written by workers


@dataclass(frozen=True)
class About:
    """What a worker says of itself."""

    process: Process
    queues: tuple[str, ...]
    devices: tuple[str, ...]
    started_at: datetime


def note(about: About) -> None:
    """Write that this process has started, or what has changed of it."""
    Worker.objects.update_or_create(
        name=about.process.name,
        defaults={
            "host": socket.gethostname(),
            "pid": about.process.pid,
            "queues": list(about.queues),
            "devices": list(about.devices),
            "code": code(),
            "torch": torch() if about.devices else "",
            "started_at": about.started_at,
            "changed_at": now(),
            "seen_at": now(),
        },
    )


def note_seen() -> None:
    """Write on the rows of the workers that live that they do just now."""
    try:
        names = [process.name for process in liveness.processes()]
    except redis.RedisError as error:
        log.warning("the broker is not reached, so no worker is seen: %s", error)
        return
    Worker.objects.filter(name__in=names).update(seen_at=now())


def outdated() -> QuerySet[Worker]:
    """Workers that nobody has seen for PODIUM_KEEP_DAYS."""
    return Worker.objects.filter(seen_at__lt=long_ago())


# Shown


@dataclass
class Host:
    """A host with its workers and the jobs that are at work there."""

    name: str
    workers: list[Worker]
    jobs: list[Job]

    @property
    def seen_at(self) -> datetime:
        return max(worker.seen_at for worker in self.workers)

    @property
    def living(self) -> int:
        return sum(bool(worker.lives) for worker in self.workers)

    @property
    def gpus(self) -> list[str]:
        return sorted({name for worker in self.workers for name in worker.devices if name != "cpu"})


def names() -> QuerySet[Worker, str]:
    """Of all hosts, in order."""
    return Worker.objects.order_by("host").values_list("host", flat=True).distinct()


def described(names: list[str]) -> list[Host]:
    """These hosts, each with its workers and jobs."""
    hosts = {name: Host(name, [], []) for name in names}
    for worker in with_liveness(Worker.objects.filter(host__in=names).order_by("name")):
        hosts[worker.host].workers.append(worker)
    running = Job.objects.filter(state=Job.State.RUNNING, machine__in=names)
    for job in running.select_related("project").order_by("pk"):
        hosts[job.machine].jobs.append(job)
    return list(hosts.values())


def with_liveness(workers: QuerySet[Worker] | list[Worker]) -> list[Worker]:
    """The workers, each told whether it lives: None where the broker, which knows, is away."""
    listed = list(workers)
    try:
        living = liveness.processes()
    except redis.RedisError:
        return listed
    for worker in listed:
        worker.lives = Process(worker.name, worker.pid) in living
    return listed
