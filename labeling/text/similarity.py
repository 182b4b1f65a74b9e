"""Near duplicates: MinHash sketches and their bands, and a hash of how a long prompt begins."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable
from functools import cache

import numpy as np

BANDS, WIDTH = 8, 8  # two prompts that share nine shingles of ten share a band in 99 of 100 cases
SHINGLE = 3  # words
FEWEST = 10  # words; shorter prompts are too often alike
PREFIX = 160  # characters
HASH = 4  # bytes of a shingle's hash
AT_ONCE = 32  # texts whose values fit the processor's cache together
_WORD = re.compile(r"\w+")


def sketch(text: str) -> np.ndarray | None:
    """The MinHash values of the text's shingles, shape (BANDS * WIDTH,); None for a short text."""
    return sketches([text])[0]


def sketches(texts: Iterable[str]) -> list[np.ndarray | None]:
    """The sketch of each text. Many at once take half the time of one after the other; the values
    are those that datasketch's MinHash computes for each text by itself.
    """
    hashes = [_shingle_hashes(text) for text in texts]
    long_enough = [hashed for hashed in hashes if hashed]
    rows = itertools.chain.from_iterable(
        _minima(long_enough[start : start + AT_ONCE])
        for start in range(0, len(long_enough), AT_ONCE)
    )
    return [next(rows) if hashed else None for hashed in hashes]


def bands(values: np.ndarray) -> list[int]:
    """One number for each band of a sketch; near duplicates most likely share one."""
    stored = values.tobytes()
    width = WIDTH * values.itemsize
    return [
        _number(b"near", place, stored[place * width : (place + 1) * width])
        for place in range(BANDS)
    ]


def beginning(text: str) -> int | None:
    """A number for how a long text begins, ignoring spaces and case; None for a short text."""
    plain = " ".join(text[: 2 * PREFIX].casefold().split())[:PREFIX]
    return _number(b"prefix", 0, plain.encode()) if len(plain) == PREFIX else None


def _shingle_hashes(text: str) -> bytes:
    """The hashes of the text's distinct shingles, HASH bytes each; none for a short text."""
    words = _WORD.findall(text.casefold())
    if len(words) < FEWEST:
        return b""
    shingles = set(map(" ".join, zip(*(words[start:] for start in range(SHINGLE)))))
    return b"".join(
        [hashlib.blake2b(shingle.encode(), digest_size=HASH).digest() for shingle in shingles]
    )


def _minima(hashes: list[bytes]) -> np.ndarray:
    """For each text's hashes the smallest value of each permutation, (texts, BANDS * WIDTH)."""
    counts = np.array([len(hashed) // HASH for hashed in hashes])
    mixed = _mixed(np.frombuffer(b"".join(hashes), dtype="<u4"))
    factors, summands = _permutations()
    permuted = mixed * factors[:, None] + summands[:, None]
    return np.ascontiguousarray(np.minimum.reduceat(permuted, np.cumsum(counts) - counts, axis=1).T)


def _mixed(hashes: np.ndarray) -> np.ndarray:
    """MurmurHash3's 32-bit finalizer (Appleby), as datasketch's scheme affine32 begins with it."""
    hashes = hashes ^ (hashes >> np.uint32(16))
    hashes = hashes * np.uint32(0x85EBCA6B)
    hashes = hashes ^ (hashes >> np.uint32(13))
    hashes = hashes * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))


@cache
def _permutations() -> np.ndarray:
    """The factors and summands of the permutations modulo 2**32, shape (2, BANDS * WIDTH): those of
    datasketch's scheme affine32 with seed 1, whose import takes 60 MB and half a second.
    """
    draw, count = np.random.RandomState(1), BANDS * WIDTH
    factors = draw.randint(0, 2**31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return np.array([factors, draw.randint(0, 2**32, count, dtype=np.uint32)])


def _number(kind: bytes, place: int, value: bytes) -> int:
    """A signed 64-bit number, as a database column holds it."""
    digest = _hasher(kind, place).copy()
    digest.update(value)
    return int.from_bytes(digest.digest(), "little", signed=True)


@cache
def _hasher(kind: bytes, place: int):
    return hashlib.blake2b(digest_size=8, person=kind + bytes([place]))
