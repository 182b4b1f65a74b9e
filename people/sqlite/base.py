"""Django's SQLite backend with one write lock for the process.

SQLite lets one connection write at a time and makes the others poll for their turn, which is unfair: under 32 clients
some wait seconds. A lock of the process, taken before BEGIN, queues the threads instead. Every transaction here is a
write transaction (`transaction_mode=IMMEDIATE`), so the lock is held from BEGIN to commit, rollback or close; a single
write outside a transaction takes it for that statement. Reads take none. Other processes wait by SQLite's own timeout.
"""

import threading

from django.db import OperationalError
from django.db.backends.sqlite3 import base

_write_lock = threading.Lock()
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
        if not _write_lock.acquire(timeout=seconds):
            raise OperationalError(f"database is locked: another thread has been writing for {seconds} s")
        self._holds_write_lock = True

    def give_write_lock(self):
        if self._holds_write_lock:
            self._holds_write_lock = False
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
