"""The outbox: rows that a worker sends elsewhere (webhook deliveries and letters), with retries.

The table is the queue. A Celery message only wakes a worker; the sweep replaces a lost message. If
a worker is killed, its row is sent again once the lease has expired.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from celery import current_app
from django.db.models import F, Model, Q, QuerySet
from kombu.exceptions import OperationalError as BrokerError

from people.db.clock import now

log = logging.getLogger(__name__)
LEASE = timedelta(minutes=2)


def due(rows: type[Model]) -> QuerySet:
    """Rows whose next attempt is due and that no worker has claimed."""
    at = now()
    return rows.objects.filter(Q(leased_until=None) | Q(leased_until__lt=at), next_at__lte=at)


def claim(rows: type[Model], pk: int) -> bool:
    """Claim the row for LEASE. False where another worker claimed it first."""
    fields = {"leased_until": now() + LEASE, "attempts": F("attempts") + 1}
    return bool(due(rows).filter(pk=pk).update(**fields))


def write(row: Any, **fields: Any) -> bool:
    """Store the result of an attempt. False where another worker has claimed the row since."""
    still_ours = type(row).objects.filter(pk=row.pk, attempts=row.attempts)
    return bool(still_ours.update(leased_until=None, **fields))


def drain(rows: type[Model], lock: threading.Lock, send_some: Callable[[], bool | None]) -> None:
    """Send all due rows, until `send_some` returns False. One thread per process at a time."""
    while due(rows).exists():
        if not lock.acquire(blocking=False):
            return  # the thread that holds the lock checks again before it ends
        try:
            if send_some() is False:
                return
        finally:
            lock.release()


def wake(task: str) -> None:
    """Send the Celery message that wakes a worker. Call it after commit."""
    try:
        current_app.send_task(task, queue="default", expires=60, retry=False)
    except (BrokerError, OSError) as error:
        log.warning("broker unreachable; the next sweep sends what is due: %s", error)
