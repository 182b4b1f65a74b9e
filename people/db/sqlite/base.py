"""Django's SQLite backend with one write lock for the process, and one for all processes of this
machine.

SQLite lets one connection write at a time and makes the others poll for their turn, ever more
seldom, which is unfair: under 32 clients some wait seconds. A lock of the process, taken before
BEGIN, queues the threads instead; whoever has it then takes the lock on a file beside the database,
so that few poll for that one, and often. Every transaction here is a write transaction
(`transaction_mode=IMMEDIATE`), so both are held from BEGIN to commit, rollback or close; a single
write outside a transaction takes them for that statement. Reads take none. A killed process holds
nothing.
"""

import fcntl
import os
import threading
import time

from django.db import OperationalError
from django.db.backends.sqlite3 import base

POLL = 0.001  # seconds
_write_lock = threading.Lock()
_doors: dict[
    tuple[int, str], int
] = {}  # (process, database): the descriptor of the file whose lock is taken


def _door(database: str) -> int:
    here = os.getpid(), database  # a fork would share its parent's lock
    if here not in _doors:
        _doors[here] = os.open(f"{database}-writer", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return _doors[here]


def _enter(database: str, until: float) -> bool:
    """Whether the lock of all processes was had in time; only a thread that holds the process's
    asks for it.
    """
    while True:
        try:
            fcntl.flock(_door(database), fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(POLL)


_READS = ("SELECT", "PRAGMA", "EXPLAIN", "WITH", "BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK")


class Cursor(base.SQLiteCursorWrapper):
    """A cursor whose single writes, outside a transaction, queue for the write lock."""

    wrapper = None

    def _queued(self, run, query, params):
        if self.connection.in_transaction or query.lstrip()[:10].upper().startswith(_READS):
            return run(query, params)
        self.wrapper.take_write_lock()
        try:
            return run(query, params)
        finally:
            self.wrapper.give_write_lock()

    def execute(self, query, params=None):
        return self._queued(super().execute, query, params)

    def executemany(self, query, param_list):
        return self._queued(super().executemany, query, param_list)


class DatabaseWrapper(base.DatabaseWrapper):
    _holds_write_lock = False

    def take_write_lock(self):
        if self._holds_write_lock:
            return
        seconds = self.settings_dict["OPTIONS"].get("timeout", 20)
        until = time.monotonic() + seconds
        if not _write_lock.acquire(timeout=seconds):
            raise OperationalError(
                f"database is locked: another thread has been writing for {seconds} s"
            )
        if not _enter(str(self.settings_dict["NAME"]), until):
            _write_lock.release()
            raise OperationalError(
                f"database is locked: another process has been writing for {seconds} s"
            )
        self._holds_write_lock = True

    def give_write_lock(self):
        if self._holds_write_lock:
            self._holds_write_lock = False
            fcntl.flock(_door(str(self.settings_dict["NAME"])), fcntl.LOCK_UN)
            _write_lock.release()

    def create_cursor(self, name=None):
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
        super()._commit()  # when it fails, Django rolls back, and that gives the lock
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
