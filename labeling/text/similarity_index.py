"""An index on disk of the sketches that share a band, so that memory use stays constant."""

from __future__ import annotations

from collections.abc import Iterable
from operator import eq

from people.db.private import private_database

MOST = 50  # sketches that one is compared with
FILTER = 2**27  # bits; 16 MiB
WAITING = 20_000  # bands in memory
ALIKE = 0.8  # of the shingles, as the sketches estimate


def alike(sketch: bytes, other: bytes) -> bool:
    """Whether two texts are, by their sketches' 32-bit values."""
    values, others = memoryview(sketch).cast("I"), memoryview(other).cast("I")
    return sum(map(eq, values, others)) >= ALIKE * len(values)


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
        self.waiting = 0  # bands that are not written yet, and their sketches:
        self.sketches: dict[int, bytes] = {}
        self.bands: dict[int, list[int]] = {}

    def add(self, bands: Iterable[int], sketch: bytes) -> None:
        self.count += 1
        self.sketches[self.count] = sketch
        for band in bands:
            self.waiting += 1
            self.bands.setdefault(band, []).append(self.count)
            byte, bit = divmod(band % self.filter_bits, 8)
            self.filter[byte] |= 1 << bit
        if self.waiting >= self.most_waiting:
            self._write()

    def sharing(self, bands: Iterable[int], most: int = MOST) -> list[bytes]:
        """At most so many sketches that share one of the bands, by band and age."""
        values: dict[bytes, None] = {}
        for band in sorted(filter(self._may_hold, bands)):
            stored = self.database.execute(
                f"SELECT value FROM band JOIN sketch ON sketch = id WHERE band = ? LIMIT {most}",
                (band,),
            )
            values |= dict.fromkeys(value for (value,) in stored)
            waiting = self.bands.get(band, ())[:most]
            values |= dict.fromkeys(self.sketches[number] for number in waiting)
        return list(values)[:most]

    def _may_hold(self, band: int) -> bool:
        byte, bit = divmod(band % self.filter_bits, 8)
        return bool(self.filter[byte] >> bit & 1)

    def _write(self) -> None:
        """Write what waits, in the order of the index."""
        bands = [(band, sketch) for band in sorted(self.bands) for sketch in self.bands[band]]
        self.database.executemany("INSERT INTO sketch VALUES (?, ?)", self.sketches.items())
        self.database.executemany("INSERT OR IGNORE INTO band VALUES (?, ?)", bands)
        self.sketches, self.bands, self.waiting = {}, {}, 0
