"""What an import has to remember of its own file, on disk and forgotten with it: the memory it
takes stays the same.
"""

from __future__ import annotations

import pickle
import sqlite3
import tempfile
from collections.abc import Iterator
from typing import Any

from django.conf import settings


class Scratch:
    """A table that no other process sees. SQLite deletes the file of a database without a name when
    it is closed.
    """

    def __init__(self):
        self.database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self.database.execute(
            "CREATE TABLE word (kind TEXT, key TEXT, value, PRIMARY KEY (kind, key)) WITHOUT ROWID"
        )
        self.database.execute("BEGIN")

    def get(self, kind: str, key: str) -> Any:
        found = self.database.execute(
            "SELECT value FROM word WHERE kind = ? AND key = ?", (kind, key)
        ).fetchone()
        return found and found[0]

    def put(self, kind: str, key: str, value: Any) -> None:
        self.database.execute("INSERT OR REPLACE INTO word VALUES (?, ?, ?)", (kind, key, value))

    def count(self, kind: str, key: str) -> int:
        """How often this was counted before."""
        before = self.get(kind, key) or 0
        self.put(kind, key, before + 1)
        return before


class Spool:
    """Things set down one after the other and read again in that order; the file has no name, and
    ends with this.
    """

    def __init__(self):
        settings.VAR.mkdir(parents=True, exist_ok=True)
        # it lives as long as this does
        self.file = tempfile.TemporaryFile(dir=settings.VAR)  # noqa: SIM115
        self.count = 0

    def add(self, thing: Any) -> None:
        pickle.dump(thing, self.file, pickle.HIGHEST_PROTOCOL)
        self.count += 1

    def __iter__(self) -> Iterator[Any]:
        self.file.seek(0)
        for _ in range(self.count):
            yield pickle.load(self.file)
