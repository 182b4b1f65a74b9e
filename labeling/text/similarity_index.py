"""An index on disk of the sketches that share a band: what it takes of memory is bounded."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from operator import eq
from typing import IO, TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    import numpy as np

MOST = 50  # sketches that one is compared with
FILTER = 2**27  # bits; 16 MiB
WAITING = 20_000  # bands in memory as Python has them
IN_ARRAYS = 2**19  # bands in memory as arrays, 12 bytes each
TOGETHER = 512  # sketches that are written together, bands that are read together
ALIKE = 0.8  # of the shingles, as the sketches estimate


def alike(sketch: bytes, other: bytes) -> bool:
    """Whether two texts are, by their sketches' 32-bit values."""
    values, others = memoryview(sketch).cast("I"), memoryview(other).cast("I")
    return sum(map(eq, values, others)) >= ALIKE * len(values)


class SimilarityIndex:
    """Which sketches, all of one length, have a band.

    Bands wait in a dictionary; many together are merged into a sorted array; an array that has
    grown long goes to a file. A Bloom filter with one bit for each band knows of nearly all new
    bands that no array has them.
    """

    def __init__(
        self, filter_bits: int = FILTER, waiting: int = WAITING, in_arrays: int = IN_ARRAYS
    ):
        self.filter = bytearray(filter_bits // 8)
        self.filter_bits, self.most_waiting, self.most_in_arrays = filter_bits, waiting, in_arrays
        self.sketches = _Sketches()
        self.waiting: dict[int, list[int]] = {}  # the numbers of a band's sketches
        self.pairs: tuple[list[int], list[int]] = [], []  # the same: bands, and a number for each
        self.array: _Array | None = None
        self.files: list[_ArrayFile] = []

    def add(self, bands: Iterable[int], sketch: bytes) -> None:
        number = self.sketches.add(sketch)
        all_bands, numbers = self.pairs
        for band in dict.fromkeys(bands):
            self.waiting.setdefault(band, []).append(number)
            all_bands.append(band)
            numbers.append(number)
        if len(numbers) >= self.most_waiting:
            self._merge()

    def sharing(self, bands: Iterable[int], most: int = MOST) -> list[bytes]:
        """At most so many sketches that share one of the bands, by band and age."""
        waiting, bits, count = self.waiting, self.filter, self.filter_bits
        shared = [
            band
            for band in bands
            if band in waiting or bits[(band % count) >> 3] >> (band % count & 7) & 1
        ]
        values: dict[bytes, None] = {}
        for band in sorted(shared):
            numbers = self._merged(band, most) + waiting.get(band, [])[:most]
            values |= dict.fromkeys(map(self.sketches.value, numbers))
        return list(values)[:most]

    def _merged(self, band: int, most: int) -> list[int]:
        """The numbers of the oldest sketches of a band that wait no longer."""
        numbers: list[int] = []
        for part in self.files:
            numbers += part.numbers_of(band, most - len(numbers))
        if self.array is not None:
            numbers += self.array.numbers_of(band, most - len(numbers))
        return numbers

    def _merge(self) -> None:
        """Merge what waits into the array, and write it to a file if it has grown long."""
        import numpy as np  # it takes memory, and a small import does not come here

        bands = np.array(self.pairs[0], dtype=np.int64)
        by_band = np.argsort(bands, kind="stable")
        numbers = np.array(self.pairs[1], dtype=np.uint32)[by_band]
        bands = bands[by_band]
        self.waiting, self.pairs = {}, ([], [])
        places = bands % self.filter_bits
        bits = np.left_shift(1, places & 7).astype(np.uint8)
        np.bitwise_or.at(np.frombuffer(self.filter, dtype=np.uint8), places >> 3, bits)
        if self.array is None:
            self.array = _Array(bands, numbers)
        else:
            self.array = self.array.with_newer(bands, numbers)
        if len(self.array.bands) >= self.most_in_arrays:
            self.files.append(_ArrayFile(self.array))
            self.array = None


class _Sketches:
    """Sketches by their number, from 0: on disk but for the latest."""

    def __init__(self) -> None:
        self.file = _file()
        self.written, self.length = 0, 0
        self.latest: list[bytes] = []

    def add(self, sketch: bytes) -> int:
        """Keep it; returns its number."""
        self.latest.append(sketch)
        if len(self.latest) < TOGETHER:
            return self.written + len(self.latest) - 1
        self.file.write(b"".join(self.latest))
        self.file.flush()
        self.written, self.length = self.written + len(self.latest), len(sketch)
        self.latest = []
        return self.written - 1

    def value(self, number: int) -> bytes:
        if number >= self.written:
            return self.latest[number - self.written]
        return os.pread(self.file.fileno(), self.length, number * self.length)


class _Array:
    """Sorted bands, and the numbers of their sketches; those of one band by age."""

    def __init__(self, bands: np.ndarray, numbers: np.ndarray):
        self.bands, self.numbers = bands, numbers

    def numbers_of(self, band: int, most: int) -> list[int]:
        start = self.bands.searchsorted(band)
        end = min(self.bands.searchsorted(band, "right"), start + most)
        return self.numbers[start:end].tolist()

    def with_newer(self, bands: np.ndarray, numbers: np.ndarray) -> _Array:
        import numpy as np

        places = self.bands.searchsorted(bands, "right")
        return _Array(
            np.insert(self.bands, places, bands), np.insert(self.numbers, places, numbers)
        )


class _ArrayFile:
    """An array in a file, of which each TOGETHER-th band is in memory."""

    def __init__(self, array: _Array):
        self.file, self.count = _file(), len(array.bands)
        self.file.write(array.bands.tobytes())
        self.file.write(array.numbers.tobytes())
        self.file.flush()
        self.beginnings = array.bands[::TOGETHER].copy()

    def numbers_of(self, band: int, most: int) -> list[int]:
        numbers: list[int] = []
        block = max(int(self.beginnings.searchsorted(band)) - 1, 0)
        while len(numbers) < most and block < len(self.beginnings):
            if self.beginnings[block] > band:
                break
            numbers += self._block(block).numbers_of(band, most - len(numbers))
            block += 1
        return numbers

    def _block(self, block: int) -> _Array:
        import numpy as np

        start = block * TOGETHER
        count = min(TOGETHER, self.count - start)
        bands = os.pread(self.file.fileno(), 8 * count, 8 * start)
        numbers = os.pread(self.file.fileno(), 4 * count, 8 * self.count + 4 * start)
        return _Array(np.frombuffer(bands, np.int64), np.frombuffer(numbers, np.uint32))


def _file() -> IO[bytes]:
    """A file without a name, which ends with its owner."""
    settings.VAR.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=settings.VAR)
