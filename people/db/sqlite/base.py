"""Django's SQLite backend with two write locks: one within the process, one between processes.

SQLite lets one connection write at a time. The others poll with growing pauses, which is unfair:
with 32 clients some wait for seconds. Here a thread takes the lock of its process before BEGIN,
which queues the threads, and then a lock on a file beside the database. So only one thread per
process polls for that file, at short intervals. It does so at a turnstile, which is one more file:
whoever stands in it is next, and a busy process's own next thread has to wait behind it.

Every transaction is a write transaction (`transaction_mode=IMMEDIATE`), so both locks are held from
BEGIN to commit, rollback or close. A single write outside a transaction takes them for that
statement. Reads take no lock. The file lock of a killed process is released by the system.

The constants of compiled queries (`people/db/compiled.py`) become part of the SQL. Where a partial
index depends on a constant that is bound as a parameter, SQLite plans the query anew at each use.
"""

from __future__ import annotations

import fcntl
import math
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.db import OperationalError
from django.db.backends.sqlite3 import base

POLL_SECONDS = 0.001
POLL_SECONDS_AS_NEXT = 0.0002
_write_lock = threading.Lock()
# (process id, path) -> descriptor of a lock file
_lock_files: dict[tuple[int, str], int] = {}


def _writer_file(database: str) -> int:
    return _lock_file(f"{database}-writer")


def _lock_file(path: str) -> int:
    key = os.getpid(), path  # a forked process must not share its parent's lock
    if key not in _lock_files:
        _lock_files[key] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return _lock_files[key]


def _lock_between_processes(database: str, until: float) -> bool:
    """Take the file lock. False where that took too long. The caller holds `_write_lock`."""
    turnstile = _lock_file(f"{database}-next")
    if not _polled(turnstile, POLL_SECONDS, until):
        return False
    try:
        return _polled(_writer_file(database), POLL_SECONDS_AS_NEXT, until)
    finally:
        fcntl.flock(turnstile, fcntl.LOCK_UN)


def _polled(file: int, pause: float, until: float) -> bool:
    """Lock the file, at the latest at `until`. Returns whether it could be locked."""
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(pause)


_READS = ("SELECT", "PRAGMA", "EXPLAIN", "WITH", "BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK")


class Cursor(base.SQLiteCursorWrapper):
    """A cursor that takes the write lock for each write outside a transaction."""

    wrapper = None

    def _queued(self, run: Callable, query: str, params: Any):
        if self.connection.in_transaction or query.lstrip()[:10].upper().startswith(_READS):
            return run(query, params)
        self.wrapper.take_write_lock()
        try:
            return run(query, params)
        finally:
            self.wrapper.give_write_lock()

    def execute(self, query: str, params: Any = None) -> Cursor:
        return self._queued(super().execute, query, params)

    def executemany(self, query: str, param_list: Iterable) -> Cursor:
        return self._queued(super().executemany, query, param_list)


class DatabaseWrapper(base.DatabaseWrapper):
    _holds_write_lock = False

    def literal(self, value: Any) -> str:
        """A constant of a compiled query as an SQL literal. Raises TypeError for other types."""
        match value:
            case None:
                return "NULL"
            case int():  # bool too
                return str(int(value))
            case float() if math.isfinite(value):
                return repr(value)
            case str():
                return "'" + value.replace("'", "''") + "'"
        raise TypeError(f"no literal for a value of the type {type(value).__name__}")

    def take_write_lock(self) -> None:
        if self._holds_write_lock:
            return
        seconds = self.settings_dict["OPTIONS"].get("timeout", 20)
        until = time.monotonic() + seconds
        if not _write_lock.acquire(timeout=seconds):
            raise OperationalError(
                f"database is locked: another thread has been writing for {seconds} s"
            )
        if not _lock_between_processes(str(self.settings_dict["NAME"]), until):
            _write_lock.release()
            raise OperationalError(
                f"database is locked: another process has been writing for {seconds} s"
            )
        self._holds_write_lock = True

    def give_write_lock(self) -> None:
        if self._holds_write_lock:
            self._holds_write_lock = False
            fcntl.flock(_writer_file(str(self.settings_dict["NAME"])), fcntl.LOCK_UN)
            _write_lock.release()

    def create_cursor(self, name: str | None = None) -> Cursor:
        cursor = self.connection.cursor(factory=Cursor)
        cursor.wrapper = self
        return cursor

    def _start_transaction_under_autocommit(self):
        self.take_write_lock()
        try:
            super()._start_transaction_under_autocommit()
        except BaseException:
            self.give_write_lock()
            raise

    def _commit(self):
        super()._commit()  # if this fails, Django rolls back, which releases the lock
        self.give_write_lock()

    def _rollback(self):
        try:
            super()._rollback()
        finally:
            self.give_write_lock()

    def _close(self):
        try:
            super()._close()
        finally:
            self.give_write_lock()
