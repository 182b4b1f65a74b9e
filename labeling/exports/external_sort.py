"""Sort rows on disk, so that a million rows need little memory."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Sorter:
    """Takes (key, value) in any order; yields the values in the order of their keys, any number of
    times. What is read more often than the rest of a value may be stored beside it, as `brief`.

    Keys are compared as UTF-8 bytes; equal keys keep the order in which they were added.
    """

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.scratch = tempfile.TemporaryDirectory(dir=folder, prefix=".sort-")
        self.table = sqlite3.connect(Path(self.scratch.name) / "items", isolation_level=None)
        self.table.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN")
        self.table.execute(
            "CREATE TABLE item (place INTEGER PRIMARY KEY, key TEXT, brief TEXT, value TEXT)"
        )
        self.sorted = False
        self.dropped: set[int] = set()

    def __enter__(self) -> Sorter:
        return self

    def __exit__(self, *_: object) -> None:
        self.table.close()
        self.scratch.cleanup()

    def add(self, key: str, value: Any, brief: Any = None) -> None:
        item = key, json.dumps(brief), json.dumps(value)
        self.table.execute("INSERT INTO item (key, brief, value) VALUES (?, ?, ?)", item)

    def drop(self, positions: set[int]) -> None:
        """Leave out the values at these positions of the sorted order."""
        self.dropped = positions

    def __iter__(self) -> Iterator[Any]:
        return self._read("value")

    def briefs(self) -> Iterator[Any]:
        """What was stored beside the values, in their order."""
        return self._read("brief")

    def _read(self, column: str) -> Iterator[Any]:
        if not self.sorted:
            self.table.execute("CREATE INDEX by_key ON item (key, place)")
            self.sorted = True
        items = self.table.execute(f"SELECT {column} FROM item ORDER BY key, place")
        for position, (text,) in enumerate(items):
            if position not in self.dropped:
                yield json.loads(text)
