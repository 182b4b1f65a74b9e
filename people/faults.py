"""Faults of what lies below: a database that is away, a disk that is full."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator

from django.db import InterfaceError, OperationalError

SQLITE_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
}
POSTGRESQL_DISK_FULL = "53100"
DISK_FULL = "The disk is full. Free some space, then resume the job."


def database_is_away(error: BaseException | None) -> bool:
    """Whether the same request may succeed once the database is back."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    # without a code: of PostgreSQL, or of the locks in people/db/sqlite
    return code is None or code & 0xFF in SQLITE_AWAY


def disk_is_full(error: BaseException | None) -> bool:
    """Whether a file or a table could not grow."""
    return any(_says_full(cause) for cause in _causes(error))


def _says_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return True
    return getattr(error, "sqlstate", None) == POSTGRESQL_DISK_FULL


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
