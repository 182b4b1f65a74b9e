"""An index on disk of the sketches that share a band, so that memory use stays constant."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable


class SimilarityIndex:
    """Private tables: SQLite deletes a database without a name when it is closed."""

    def __init__(self):
        self.database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self.database.execute("CREATE TABLE band (band INTEGER, sketch INTEGER)")
        self.database.execute("CREATE INDEX by_band ON band (band)")
        self.database.execute("CREATE TABLE sketch (id INTEGER PRIMARY KEY, value BLOB)")
        self.database.execute("BEGIN")

    def add(self, bands: Iterable[int], sketch: bytes) -> None:
        row = self.database.execute("INSERT INTO sketch (value) VALUES (?)", (sketch,)).lastrowid
        self.database.executemany("INSERT INTO band VALUES (?, ?)", [(band, row) for band in bands])

    def sharing(self, bands: Iterable[int]) -> list[bytes]:
        """At most 50 sketches that share one of the bands."""
        listed = ",".join(str(int(band)) for band in bands)
        query = (
            f"SELECT DISTINCT value FROM band JOIN sketch ON sketch = id WHERE band IN ({listed}) "
            "LIMIT 50"
        )
        return [value for (value,) in self.database.execute(query)]
