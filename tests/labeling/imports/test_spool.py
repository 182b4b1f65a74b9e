"""What an import notes on disk is read as it was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.imports import spool
from labeling.imports.spool import Scratch, Spool

KEYS = st.sampled_from("abcdefgh")
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "count", "fetch"]), st.sampled_from("xy"), KEYS), max_size=60
)


@pytest.mark.parametrize("remembered", [1, 3, 1000])
@pytest.mark.parametrize("filter_bits", [8, spool.FILTER])
@given(steps=STEPS)
def test_a_scratch_table_holds_what_was_put_whatever_it_keeps_in_memory(
    remembered, filter_bits, steps
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "REMEMBERED", remembered)
        scratch, words = Scratch(filter_bits), {}
        for number, (action, kind, key) in enumerate(steps):
            if action == "put":
                scratch.put(kind, key, number)
                words[kind, key] = number
            elif action == "count":
                assert scratch.count(kind, key) == words.get((kind, key), 0)
                words[kind, key] = words.get((kind, key), 0) + 1
            else:
                scratch.fetch(kind, [key, "a", "never put"])
            assert scratch.get(kind, key) == words.get((kind, key))

        assert {(kind, key): scratch.get(kind, key) for kind, key in words} == words
        assert scratch.get("x", "never put") is None


def test_a_scratch_table_asks_the_disk_only_for_words_that_may_be_there(monkeypatch):
    monkeypatch.setattr(spool, "REMEMBERED", 10)
    scratch, asked = Scratch(), []
    scratch.put("x", "here", 1)
    scratch.fetch("x", map(str, range(20)))
    scratch.database.set_trace_callback(asked.append)
    scratch.fetch("x", map(str, range(20, 40)))
    assert asked == []

    assert scratch.get("x", "here") == 1
    assert len(asked) == 1


@pytest.mark.parametrize("count", [0, 1, spool.TOGETHER, spool.TOGETHER + 1, 3 * spool.TOGETHER])
def test_a_spool_gives_back_everything_in_order_and_again(count):
    kept = Spool()
    for number in range(count):
        kept.add((number, {"text": "ü" * number}))

    assert kept.count == count
    for _time in range(2):
        assert list(kept) == [(number, {"text": "ü" * number}) for number in range(count)]
