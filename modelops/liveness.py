"""Which worker processes live: each keeps a key in the broker that outlives it by seconds."""

from __future__ import annotations

from typing import NamedTuple

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from modelops.kinds import QUEUES

PREFIX = "podium:worker:"


class Process(NamedTuple):
    """A worker process: its name among all workers, like training-2@host, and its number there."""

    name: str
    pid: int


def broker() -> redis.Redis:
    """A client that answers or fails within a second."""
    return redis.Redis.from_url(
        settings.BROKER, socket_connect_timeout=0.5, socket_timeout=0.5, retry=Retry(NoBackoff(), 0)
    )


def key(queue: str, process: Process) -> str:
    return f"{PREFIX}{queue}:{process.name}:{process.pid}"


def alive(client: redis.Redis) -> dict[str, int]:
    """How many workers each queue has."""
    count = dict.fromkeys(QUEUES, 0)
    for queue, _process in _found(client):
        count[queue] = count.get(queue, 0) + 1
    return count


def processes() -> set[Process]:
    """All that live. Raises redis.RedisError."""
    with broker() as client:
        return {process for _queue, process in _found(client)}


def _found(client: redis.Redis) -> list[tuple[str, Process]]:
    found = []
    for name in client.scan_iter(match=PREFIX + "*", count=1000):
        queue, node, pid = name.decode().removeprefix(PREFIX).split(":")
        found.append((queue, Process(node, int(pid))))
    return found
