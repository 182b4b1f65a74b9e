"""Each worker process says in the broker that it is alive, in the database what it is, and hears
that it has to stop.

A thread writes a key that outlives it by seconds: a worker busy with a long job is alive, a killed
one is soon not. /healthz counts these keys. Another thread writes the worker's row, for a database
that does not answer must not keep the first one waiting.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from datetime import datetime
from typing import Any

import redis
from celery import signals
from celery.exceptions import SecurityWarning
from django.db import Error, connection

from modelops import hosts, jobs, liveness
from modelops.kinds import COMPUTING
from modelops.liveness import Process
from people.db import clock
from workers import machine_lock
from workers.parent_death import end_with_parent

log = logging.getLogger(__name__)
EVERY_SECONDS, LIFE_SECONDS = 5, 15
warnings.filterwarnings(
    "ignore", category=SecurityWarning
)  # it is about pickle, which these workers don't accept
_over = threading.Event()
_threads: list[threading.Thread] = []


@signals.worker_ready.connect
def _start(sender: Any, **_):
    if _threads:
        return  # only the connection to the broker came back
    process, queues = Process(sender.hostname, os.getpid()), sender.app.amqp.queues
    keys = [liveness.key(queue, process) for queue in queues.consume_from]
    for target, about in ((_beat, (keys,)), (_describe, (process, queues))):
        _threads.append(threading.Thread(target=target, args=about, daemon=True))
        _threads[-1].start()


def _beat(keys: list[str]) -> None:
    reached = True
    while not _over.is_set():
        try:
            with liveness.broker() as client:
                for key in keys:
                    client.set(key, 1, ex=LIFE_SECONDS)
            reached = True
        except redis.RedisError as error:
            if reached:
                log.warning("the broker is not reached, trying again: %s", error)
            reached = False
        _over.wait(EVERY_SECONDS if reached else 1)
    _forget(keys)


def _describe(process: Process, queues: Any) -> None:
    """Write the worker's row, and again when something about it has changed."""
    written = started_at = None
    while not _over.is_set():
        try:
            started_at = started_at or clock.now()
            about = _about(process, tuple(queues.consume_from), started_at)
            if about != written:
                hosts.note(about)
                written = about
        except Error as error:
            log.warning("the worker's row is not written, trying again: %s", error)
        finally:
            connection.close()
        _over.wait(EVERY_SECONDS)


def _about(process: Process, queues: tuple[str, ...], started_at: datetime) -> hosts.About:
    computes = any(queue in COMPUTING for queue in queues)
    devices = tuple(machine_lock.devices()) if computes else ()
    return hosts.About(process, queues, devices, started_at)


def _forget(keys: list[str]) -> None:
    try:
        with liveness.broker() as client:
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
