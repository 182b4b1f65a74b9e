"""What an import has to remember of its own file, on disk and forgotten with it: the memory it
takes stays the same.
"""

from __future__ import annotations

import pickle
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import IO, Any

from django.conf import settings

from people.db.private import private_database

REMEMBERED = 20_000  # words in memory
ASKED = 500  # keys of one query
FILTER = 2**25  # bits; 4 MiB
TOGETHER = 50  # things that are pickled together


class Scratch:
    """Words by their kind and key, the latest of them in memory.

    A Bloom filter with one bit for each word on disk knows of nearly all others that they are not
    there.
    """

    def __init__(self, filter_bits: int = FILTER):
        self.database = private_database()
        self.database.execute(
            "CREATE TABLE word (kind TEXT, key TEXT, value, PRIMARY KEY (kind, key)) WITHOUT ROWID"
        )
        self.database.execute("BEGIN")
        self.latest: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self.unwritten: defaultdict[str, set[str]] = defaultdict(set)
        self.filter, self.filter_bits = bytearray(filter_bits // 8), filter_bits

    def fetch(self, kind: str, keys: Iterable[str]) -> None:
        """Read many words at once: a get() of one of them is then no query."""
        wanted = dict.fromkeys(keys)
        if self._count_latest() + len(wanted) > REMEMBERED:
            self._forget()
        latest = self.latest[kind]
        unknown = [key for key in wanted if key not in latest]
        latest |= dict.fromkeys(unknown)
        on_disk = [key for key in unknown if self._may_be_on_disk(kind, key)]
        for start in range(0, len(on_disk), ASKED):
            asked = on_disk[start : start + ASKED]
            latest |= self.database.execute(
                "SELECT key, value FROM word "
                f"WHERE kind = ? AND key IN ({','.join('?' * len(asked))})",
                (kind, *asked),
            )

    def get(self, kind: str, key: str) -> Any:
        latest = self.latest[kind]
        if key not in latest:
            self.fetch(kind, [key])
            latest = self.latest[kind]
        return latest[key]

    def put(self, kind: str, key: str, value: Any) -> None:
        if self._count_latest() >= REMEMBERED:
            self._forget()
        self.latest[kind][key] = value
        self.unwritten[kind].add(key)

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

    def _count_latest(self) -> int:
        return sum(map(len, self.latest.values()))

    def _may_be_on_disk(self, kind: str, key: str) -> bool:
        place = hash((kind, key)) % self.filter_bits
        return bool(self.filter[place >> 3] >> (place & 7) & 1)

    def _forget(self) -> None:
        """Write the changed words and empty the memory."""
        for kind, keys in sorted(self.unwritten.items()):
            latest = self.latest[kind]
            words = [(kind, key, latest[key]) for key in sorted(keys)]
            self.database.executemany("INSERT OR REPLACE INTO word VALUES (?, ?, ?)", words)
            for key in keys:
                place = hash((kind, key)) % self.filter_bits
                self.filter[place >> 3] |= 1 << (place & 7)
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
