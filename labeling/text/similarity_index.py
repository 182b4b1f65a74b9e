"""An index on disk of the sketches that share a band, so that memory use stays constant."""

from __future__ import annotations

from collections.abc import Iterable

from people.db.private import private_database

MOST = 50  # sketches that one is compared with
FILTER = 2**27  # bits; 16 MiB
WAITING = 20_000  # bands in memory


class SimilarityIndex:
    """Private tables.

    A Bloom filter with one bit for each band knows of nearly all new bands that they are new.
    """

    def __init__(self, filter_bits: int = FILTER, waiting: int = WAITING):
        self.database = private_database()
        self.database.execute(
            "CREATE TABLE band (band INTEGER, sketch INTEGER, PRIMARY KEY (band, sketch)) "
            "WITHOUT ROWID"
        )
        self.database.execute("CREATE TABLE sketch (id INTEGER PRIMARY KEY, value BLOB)")
        self.database.execute("BEGIN")
        self.filter = bytearray(filter_bits // 8)
        self.filter_bits, self.most_waiting = filter_bits, waiting
        self.count = 0
        self.sketches: list[tuple[int, bytes]] = []
        self.bands: list[tuple[int, int]] = []

    def add(self, bands: Iterable[int], sketch: bytes) -> None:
        self.count += 1
        self.sketches.append((self.count, sketch))
        for band in bands:
            self.bands.append((band, self.count))
            byte, bit = divmod(band % self.filter_bits, 8)
            self.filter[byte] |= 1 << bit
        if len(self.bands) >= self.most_waiting:
            self._write()

    def sharing(self, bands: Iterable[int], most: int = MOST) -> list[bytes]:
        """At most so many sketches that share one of the bands, by band and age."""
        known = [int(band) for band in bands if self._may_hold(band)]
        if not known:
            return []
        self._write()
        listed = ",".join(map(str, known))
        query = (
            f"SELECT DISTINCT value FROM band JOIN sketch ON sketch = id WHERE band IN ({listed}) "
            f"LIMIT {most}"
        )
        return [value for (value,) in self.database.execute(query)]

    def _may_hold(self, band: int) -> bool:
        byte, bit = divmod(band % self.filter_bits, 8)
        return bool(self.filter[byte] >> bit & 1)

    def _write(self) -> None:
        """Write what waits, in the order of the index."""
        self.database.executemany("INSERT INTO sketch VALUES (?, ?)", self.sketches)
        self.database.executemany("INSERT OR IGNORE INTO band VALUES (?, ?)", sorted(self.bands))
        self.sketches, self.bands = [], []
