"""What an import has to remember of its own file, on disk and forgotten with it: the memory it
takes stays the same.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings

from people.db.private import private_database

REMEMBERED = 20_000  # words in memory
ASKED = 500  # keys of one query
TOGETHER = 50  # things that are pickled together


class Scratch:
    """Words by their kind and key, the latest of them in memory."""

    def __init__(self):
        self.database = private_database()
        self.database.execute(
            "CREATE TABLE word (kind TEXT, key TEXT, value, PRIMARY KEY (kind, key)) WITHOUT ROWID"
        )
        self.database.execute("BEGIN")
        self.latest: dict[tuple[str, str], Any] = {}
        self.unwritten: set[tuple[str, str]] = set()

    def fetch(self, kind: str, keys: Iterable[str]) -> None:
        """Read many words at once: a get() of one of them is then no query."""
        wanted = dict.fromkeys(keys)
        if len(self.latest) + len(wanted) > REMEMBERED:
            self._forget()
        unknown = [key for key in wanted if (kind, key) not in self.latest]
        for start in range(0, len(unknown), ASKED):
            asked = unknown[start : start + ASKED]
            self.latest |= dict.fromkeys((kind, key) for key in asked)
            stored = self.database.execute(
                "SELECT kind, key, value FROM word "
                f"WHERE kind = ? AND key IN ({','.join('?' * len(asked))})",
                (kind, *asked),
            )
            self.latest |= {(kind, key): value for kind, key, value in stored}

    def get(self, kind: str, key: str) -> Any:
        if (kind, key) not in self.latest:
            self.fetch(kind, [key])
        return self.latest[kind, key]

    def put(self, kind: str, key: str, value: Any) -> None:
        if len(self.latest) >= REMEMBERED:
            self._forget()
        self.latest[kind, key] = value
        self.unwritten.add((kind, key))

    def count(self, kind: str, key: str) -> int:
        """How often this was counted before."""
        before = self.get(kind, key) or 0
        self.put(kind, key, before + 1)
        return before

    def _forget(self) -> None:
        """Write the changed words and empty the memory."""
        words = [(*name, self.latest[name]) for name in sorted(self.unwritten)]
        self.database.executemany("INSERT OR REPLACE INTO word VALUES (?, ?, ?)", words)
        self.latest.clear()
        self.unwritten.clear()


class Spool:
    """Things set down one after the other and read again in that order; the file has no name, and
    ends with this.
    """

    def __init__(self):
        settings.VAR.mkdir(parents=True, exist_ok=True)
        # it lives as long as this does
        self.file = tempfile.TemporaryFile(dir=settings.VAR)  # noqa: SIM115
        self.count = 0
        self.latest: list[Any] = []

    def add(self, thing: Any) -> None:
        self.latest.append(thing)
        self.count += 1
        if len(self.latest) == TOGETHER:
            self._write()

    def __iter__(self) -> Iterator[Any]:
        self._write()
        self.file.seek(0)
        for _ in range(-(-self.count // TOGETHER)):
            yield from pickle.load(self.file)

    def _write(self) -> None:
        if self.latest:
            pickle.dump(self.latest, self.file, pickle.HIGHEST_PROTOCOL)
            self.latest = []
