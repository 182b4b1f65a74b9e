"""Sketches are those that earlier versions stored, one by one or many at once."""

import hashlib

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from labeling.text import similarity, similarity_index
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


SIZES = [(1, 1, 1), (3, 1, 2), (2, 9, 3), (3, 99, 2), (99, 1, 2)]


@pytest.mark.parametrize(("waiting", "in_arrays", "together"), SIZES)
@given(
    rows=st.lists(st.tuples(BANDS, st.integers(0, 5)), max_size=30),
    most=st.integers(1, 5),
)
def test_the_index_gives_the_sketches_that_share_a_band_by_band_and_age(
    waiting, in_arrays, together, rows, most
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity_index, "TOGETHER", together)
        alike, different = (SimilarityIndex(64, waiting, in_arrays) for _ in range(2))
        before: list[list[int]] = []  # the bands of each row

        for number, (bands, sketch) in enumerate(rows):
            shared = (
                earlier
                for band in sorted(set(bands))
                for earlier, others in enumerate(before)
                if band in others
            )
            sharing = list(dict.fromkeys(shared))
            values = dict.fromkeys(bytes([rows[earlier][1]]) for earlier in sharing)
            assert alike.sharing(bands) == list(values)
            assert different.sharing(bands, most) == [bytes([n]) for n in sharing[:most]]
            alike.add(bands, bytes([sketch]))
            different.add(bands, bytes([number]))
            before.append(bands)


def test_the_index_compares_with_what_it_has_written_to_files():
    index = SimilarityIndex(waiting=8, in_arrays=16)
    bands = [[number * 2**40, -number * 2**50, 7] for number in range(1, 100)]
    for number, some in enumerate(bands):
        index.add(some, bytes([number]) * 256)

    assert len(index.files) > 10
    for number, (first, second, _shared) in enumerate(bands):
        assert index.sharing([first]) == index.sharing([second]) == [bytes([number]) * 256]
    assert index.sharing([7], 99) == [bytes([number]) * 256 for number in range(99)]
    assert index.sharing([5 * 2**40 + 1]) == []
