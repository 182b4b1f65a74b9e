"""Locks with a name that one holder has at a time, in whatever thread or process.

The system releases the lock of a process that was killed: on PostgreSQL as its connection ends, on
SQLite as its files are closed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error, connection, transaction


@contextmanager
def held(name: str) -> Iterator[bool]:
    """Hold the lock while the body runs; yields whether it was free. It does not wait.

    What earlier holders have written is visible to the body. Within a transaction the lock is held
    until that ends.
    """
    hold = _on_postgresql if connection.vendor == "postgresql" else _on_sqlite
    with hold(name) as is_ours:
        yield is_ours


@contextmanager
def _on_postgresql(name: str) -> Iterator[bool]:
    key = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
    if connection.in_atomic_block:
        yield _ask("SELECT pg_try_advisory_xact_lock(%s)", key)
        return
    is_ours = _ask("SELECT pg_try_advisory_lock(%s)", key)
    try:
        yield is_ours
    finally:
        if is_ours:
            _unlock(key)


def _unlock(key: int) -> None:
    try:
        _ask("SELECT pg_advisory_unlock(%s)", key)
    except Error:
        connection.close()  # which releases it, too


def _ask(query: str, key: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(query, [key])
        return cursor.fetchone()[0]


@contextmanager
def _on_sqlite(name: str) -> Iterator[bool]:
    """A lock on a file beside the database. Threads open it each for themselves."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    file = os.open(f"{connection.settings_dict['NAME']}-{name}", flags, 0o600)
    try:
        is_ours = _lock(file)
        if is_ours and not connection.in_atomic_block:
            # a holder within a transaction gave the lock back before it ended: wait until it has
            with transaction.atomic():
                pass
        yield is_ours
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)  # also of a process that was forked meanwhile
        os.close(file)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
