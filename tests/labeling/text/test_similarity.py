"""Sketches are those that earlier versions stored, one by one or many at once."""

import hashlib

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from labeling.text import similarity
from labeling.text.similarity_index import SimilarityIndex

FOX = "The quick brown fox jumps over the lazy dog and runs into the wood"
WORDS = st.lists(st.sampled_from(["a", "Bee", "CÉ", "ß", "δ", "eel", "七"]), max_size=40)


def of_datasketch(text: str) -> list[int] | None:
    """The sketch that datasketch's own class computes, one shingle after the other."""
    words = similarity._WORD.findall(text.casefold())
    if len(words) < similarity.FEWEST:
        return None
    shingles = {" ".join(words[place : place + 3]).encode() for place in range(len(words) - 2)}
    minhash = MinHash(num_perm=64, seed=1, hashfunc=_hash)
    minhash.update_batch(list(shingles))
    return minhash.hashvalues.tolist()


def _hash(shingle: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(shingle, digest_size=4).digest(), "little")


def test_the_numbers_in_databases_stay():
    sketch = similarity.sketch(FOX)

    assert sketch is not None
    assert sketch.dtype == np.uint32
    assert sketch[:4].tolist() == [122071016, 105375589, 463853893, 925800375]
    assert similarity.bands(sketch)[:3] == [
        -1645969097872960486,
        -8112368120895862881,
        -7443395908779956389,
    ]
    assert similarity.beginning("Abc  d " * 60) == 3012298791330372598


@given(st.lists(WORDS.map(" ".join), max_size=70))
def test_many_sketches_at_once_are_those_of_each_text_by_itself(texts):
    together = similarity.sketches(texts)

    assert [None if sketch is None else sketch.tolist() for sketch in together] == [
        of_datasketch(text) for text in texts
    ]


BANDS = st.lists(st.integers(-3, 3), min_size=1, max_size=3)


@pytest.mark.parametrize("waiting", [1, 3, 1000])
@given(rows=st.lists(st.tuples(BANDS, st.integers(0, 5)), max_size=30))
def test_the_index_gives_the_sketches_that_share_a_band_by_band_and_age(waiting, rows):
    index, kept = SimilarityIndex(filter_bits=64, waiting=waiting), []

    for bands, sketch in rows:
        sharing = [old for band in sorted(set(bands)) for numbers, old in kept if band in numbers]
        assert index.sharing(bands) == list(dict.fromkeys(sharing))[:50]
        index.add(bands, bytes([sketch]))
        kept.append((bands, bytes([sketch])))
