"""Marks that near duplicates share: MinHash bands, and how a long prompt begins."""

from __future__ import annotations

import hashlib
import re
from functools import cache

import numpy as np
from datasketch import MinHash

BANDS, WIDTH = 8, 8  # two prompts that share nine shingles of ten share a band in 99 of 100 cases
ALIKE = 0.8  # of the shingles, as far as the sketches tell
SHINGLE = 3  # words
FEWEST = 10  # words; below, every other prompt would be like it
PREFIX = 160  # characters
_WORD = re.compile(r"\w+")


@cache
def _empty() -> MinHash:
    return MinHash(num_perm=BANDS * WIDTH, seed=1, hashfunc=_hash)


def _hash(shingle: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(shingle, digest_size=4).digest(), "little")


def sketch(text: str) -> np.ndarray | None:
    """What stands for the text's shingles; nothing for a short one."""
    words = _WORD.findall(text.casefold())
    if len(words) < FEWEST:
        return None
    shingles = {" ".join(words[n : n + SHINGLE]).encode() for n in range(len(words) - SHINGLE + 1)}
    minhash = _empty().copy()
    minhash.update_batch(list(shingles))
    return minhash.hashvalues.astype(np.uint32)


def bands(values: np.ndarray) -> list[int]:
    return [
        _number(b"near", n, values[n * WIDTH : (n + 1) * WIDTH].tobytes()) for n in range(BANDS)
    ]


def beginning(text: str) -> int | None:
    """The mark of how a long text begins, whatever its spaces and capitals."""
    plain = " ".join(text[: 2 * PREFIX].casefold().split())[:PREFIX]
    return _number(b"prefix", 0, plain.encode()) if len(plain) == PREFIX else None


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    return float(np.mean(one == other)) >= ALIKE


def _number(kind: bytes, place: int, value: bytes) -> int:
    """A signed number of 64 bits: what a column of the database holds."""
    digest = hashlib.blake2b(value, digest_size=8, person=kind + bytes([place])).digest()
    return int.from_bytes(digest, "little", signed=True)
