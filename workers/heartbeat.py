"""Each worker process says in the broker that it is alive, and hears that it has to stop.

A thread writes a key that outlives it by seconds: a worker busy with a long job is alive, a killed
one is soon not. /healthz counts these keys.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from typing import Any

import redis
from celery import signals
from celery.exceptions import SecurityWarning
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from modelops import jobs
from modelops.kinds import QUEUES
from workers.parent_death import end_with_parent

log = logging.getLogger(__name__)
PREFIX = "podium:worker:"
EVERY_SECONDS, LIFE_SECONDS = 5, 15
warnings.filterwarnings(
    "ignore", category=SecurityWarning
)  # it is about pickle, which these workers don't accept
_over = threading.Event()
_threads: list[threading.Thread] = []


def broker() -> redis.Redis:
    """A client that answers or fails within a second."""
    return redis.Redis.from_url(
        settings.BROKER, socket_connect_timeout=0.5, socket_timeout=0.5, retry=Retry(NoBackoff(), 0)
    )


def alive(client: redis.Redis) -> dict[str, int]:
    """How many workers each queue has."""
    count = dict.fromkeys(QUEUES, 0)
    for key in client.scan_iter(match=PREFIX + "*", count=1000):
        queue = key.decode().removeprefix(PREFIX).split(":")[0]
        count[queue] = count.get(queue, 0) + 1
    return count


@signals.worker_ready.connect
def _start(sender: Any, **_):
    if _threads:
        return  # only the connection to the broker came back
    queues = list(sender.app.amqp.queues.consume_from)
    _threads.append(
        threading.Thread(target=_beat, args=(queues, sender.hostname), name="pulse", daemon=True)
    )
    _threads[0].start()


def _beat(queues: list[str], hostname: str) -> None:
    keys = [f"{PREFIX}{queue}:{hostname}:{os.getpid()}" for queue in queues]
    reached = True
    while not _over.is_set():
        try:
            with broker() as client:
                for key in keys:
                    client.set(key, 1, ex=LIFE_SECONDS)
            reached = True
        except redis.RedisError as error:
            if reached:
                log.warning("the broker is not reached, trying again: %s", error)
            reached = False
        _over.wait(EVERY_SECONDS if reached else 1)
    _forget(keys)


def _forget(keys: list[str]) -> None:
    try:
        with broker() as client:
            client.delete(*keys)
    except redis.RedisError:
        pass  # they end by themselves


@signals.worker_shutting_down.connect
def _stop(**_):
    jobs.stopping.set()


@signals.worker_shutdown.connect
def _end(**_):
    _over.set()
    for thread in _threads:
        thread.join(2)


@signals.beat_embedded_init.connect
def _tie_beat(**_):
    end_with_parent()  # the sweep's clock is a child of the worker
