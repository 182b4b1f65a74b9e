"""What an import has to remember of its own file, on disk and forgotten with it: the memory it
takes stays the same.
"""

from __future__ import annotations

import pickle
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Any

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

    def words(self, kinds: Iterable[str]) -> Iterator[list[tuple[str, str, Any]]]:
        """Yield lists of the (kind, key, value) of these kinds."""
        self._forget()
        for kind in kinds:
            stored = self.database.execute("SELECT * FROM word WHERE kind = ?", (kind,))
            while some := stored.fetchmany(ASKED):
                yield some

    def _forget(self) -> None:
        """Write the changed words and empty the memory."""
        words = [(*name, self.latest[name]) for name in sorted(self.unwritten)]
        self.database.executemany("INSERT OR REPLACE INTO word VALUES (?, ?, ?)", words)
        self.latest.clear()
        self.unwritten.clear()


class Spool:
    """Things set down one after the other and read again in that order. The file has no name, and
    ends with this; or it is a given one, which holds `count` things from here on.
    """

    def __init__(self, file: IO[bytes] | None = None, count: int = 0):
        settings.VAR.mkdir(parents=True, exist_ok=True)
        # it lives as long as this does
        self.file = file or tempfile.TemporaryFile(dir=settings.VAR)  # noqa: SIM115
        self.start = self.file.tell()
        self.count = count
        self.latest: list[Any] = []

    def add(self, thing: Any) -> None:
        self.latest.append(thing)
        self.count += 1
        if len(self.latest) == TOGETHER:
            self._write()

    def __iter__(self) -> Iterator[Any]:
        self._write()
        self.file.seek(self.start)
        for _ in range(-(-self.count // TOGETHER)):
            yield from pickle.load(self.file)

    def copy_to(self, file: IO[bytes]) -> None:
        """Write all things into a file, where a spool can read them again."""
        self._write()
        self.file.seek(self.start)
        shutil.copyfileobj(self.file, file)

    def _write(self) -> None:
        if self.latest:
            pickle.dump(self.latest, self.file, pickle.HIGHEST_PROTOCOL)
            self.latest = []
