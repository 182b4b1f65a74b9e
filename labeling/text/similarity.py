"""Near duplicates: MinHash sketches and their bands, and a hash of how a long prompt begins."""

from __future__ import annotations

import hashlib
import re
from functools import cache

import numpy as np
from datasketch import MinHash

BANDS, WIDTH = 8, 8  # two prompts that share nine shingles of ten share a band in 99 of 100 cases
ALIKE = 0.8  # of the shingles, as the sketches estimate
SHINGLE = 3  # words
FEWEST = 10  # words; shorter prompts are too often alike
PREFIX = 160  # characters
_WORD = re.compile(r"\w+")


@cache
def _empty() -> MinHash:
    return MinHash(num_perm=BANDS * WIDTH, seed=1, hashfunc=_hash)


def _hash(shingle: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(shingle, digest_size=4).digest(), "little")


def sketch(text: str) -> np.ndarray | None:
    """The MinHash values of the text's shingles, shape (BANDS * WIDTH,); None for a short text."""
    words = _WORD.findall(text.casefold())
    if len(words) < FEWEST:
        return None
    shingles = {" ".join(words[n : n + SHINGLE]).encode() for n in range(len(words) - SHINGLE + 1)}
    minhash = _empty().copy()
    minhash.update_batch(list(shingles))
    return minhash.hashvalues.astype(np.uint32)


def bands(values: np.ndarray) -> list[int]:
    """One number for each band of a sketch; near duplicates most likely share one."""
    return [
        _number(b"near", n, values[n * WIDTH : (n + 1) * WIDTH].tobytes()) for n in range(BANDS)
    ]


def beginning(text: str) -> int | None:
    """A number for how a long text begins, ignoring spaces and case; None for a short text."""
    plain = " ".join(text[: 2 * PREFIX].casefold().split())[:PREFIX]
    return _number(b"prefix", 0, plain.encode()) if len(plain) == PREFIX else None


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    return float(np.mean(a == b)) >= ALIKE


def _number(kind: bytes, place: int, value: bytes) -> int:
    """A signed 64-bit number, as a database column holds it."""
    digest = hashlib.blake2b(value, digest_size=8, person=kind + bytes([place])).digest()
    return int.from_bytes(digest, "little", signed=True)
