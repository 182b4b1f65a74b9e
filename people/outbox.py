"""Rows that are sent elsewhere, events and letters: a worker claims one, sends it, and tries again.

The table is the queue: a message only wakes a worker up, and the sweep makes up for a lost one. A
row whose worker was killed is sent once more when its lease is over.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from celery import current_app
from django.db.models import F, Model, Q, QuerySet
from django.utils.timezone import now
from kombu.exceptions import OperationalError as BrokerError

log = logging.getLogger(__name__)
LEASE = timedelta(minutes=2)


def due(rows: type[Model]) -> QuerySet:
    """What is to be sent now, and nobody is at."""
    at = now()
    return rows.objects.filter(Q(leased_until=None) | Q(leased_until__lt=at), next_at__lte=at)


def claim(rows: type[Model], pk: int) -> bool:
    """Take this one for a while; False when somebody else was first."""
    taken = {"leased_until": now() + LEASE, "attempts": F("attempts") + 1}
    return bool(due(rows).filter(pk=pk).update(**taken))


def write(row: Any, **fields: Any) -> bool:
    """Record the result of an attempt, unless another worker has claimed the row meanwhile."""
    ours = type(row).objects.filter(pk=row.pk, attempts=row.attempts)
    return bool(ours.update(leased_until=None, **fields))


def drain(rows: type[Model], lock: threading.Lock, send_some: Callable[[], bool | None]) -> None:
    """Send all that is due, until `send_some` returns False. One thread of a process does."""
    while due(rows).exists():
        if not lock.acquire(blocking=False):
            return  # who is at it looks once more before they leave
        try:
            if send_some() is False:
                return
        finally:
            lock.release()


def wake(task: str) -> None:
    """Have a worker look at what waits; call it after commit."""
    try:
        current_app.send_task(task, queue="default", expires=60, retry=False)
    except (BrokerError, OSError) as error:
        log.warning("broker not reached, the next sweep sends what waits: %s", error)
