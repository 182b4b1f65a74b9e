"""The one clock that decides who is late: the database's.

Hosts whose clocks differ would take over each other's live jobs and leases. PostgreSQL is asked for
its time when a connection opens; from then on this process counts seconds, whatever becomes of its
own clock, so that no query is added. SQLite has one host, and that host's clock.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

# also runs while the machine is suspended, where the system has such a clock
_SECONDS = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
# the database's time, and what _SECONDS said then
_reading: tuple[datetime, float] | None = None


def now() -> datetime:
    """The database's time, for leases, heartbeats and claims."""
    if _reading is None and connection.vendor == "postgresql":
        connection.ensure_connection()
    if _reading is None:
        return timezone.now()
    at, then = _reading
    return at + timedelta(seconds=time.clock_gettime(_SECONDS) - then)


def set_to(at: datetime) -> None:
    """The database says that it is `at` just now."""
    global _reading
    _reading = at, time.clock_gettime(_SECONDS)


def read() -> None:
    """Ask the database again: its clock may have been set. Long-lived processes call this."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            set_to(cursor.fetchone()[0])
