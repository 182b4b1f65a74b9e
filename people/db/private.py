"""A SQLite database of one process, forgotten with it: for what is too large for memory."""

from __future__ import annotations

import sqlite3

# Nobody reads its file after a crash, so nothing of it needs to be safe.
PRAGMAS = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16000"


def private_database() -> sqlite3.Connection:
    """A database that no other process sees. SQLite deletes the file of a database without a name
    when it is closed.
    """
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    database.executescript(PRAGMAS)
    return database
