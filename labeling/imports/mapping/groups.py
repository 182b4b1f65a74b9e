"""Rows that belong together, set down on disk until the file has ended."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from itertools import groupby

from labeling.imports.files import Row
from people.db.private import private_database


class Groups:
    """Rows by key: groups in the order of their first rows, rows in the order of the file."""

    def __init__(self):
        self.database = private_database()
        self.database.execute("CREATE TABLE key (number INTEGER PRIMARY KEY, key TEXT UNIQUE)")
        self.database.execute(
            "CREATE TABLE item (number INTEGER, place INTEGER, row BLOB, "
            "PRIMARY KEY (number, place)) WITHOUT ROWID"
        )
        self.database.execute("BEGIN")
        self.count = 0

    def add(self, key: str, row: Row) -> None:
        self.database.execute("INSERT OR IGNORE INTO key (key) VALUES (?)", (key,))
        self.database.execute(
            "INSERT INTO item SELECT number, ?, ? FROM key WHERE key = ?",
            (self.count, pickle.dumps(row, pickle.HIGHEST_PROTOCOL), key),
        )
        self.count += 1

    def __iter__(self) -> Iterator[Iterator[Row]]:
        """Yield each group as an iterator of its rows, to be used up before the next one."""
        items = self.database.execute("SELECT number, row FROM item ORDER BY number, place")
        for _number, group in groupby(items, key=lambda item: item[0]):
            yield (pickle.loads(row) for _number, row in group)
