"""Ranks, and the pairs that they imply."""

from hypothesis import given
from hypothesis import strategies as st

from modelops import rows


def judged(*rankings, texts=("a", "b", "c")):
    return {
        "answers": [{"text": text} for text in texts],
        "judgments": [{"ranks": list(ranks)} for ranks in rankings],
    }


def test_dense_closes_gaps_and_keeps_ties():
    assert rows.dense([1, 3, 3, 7]) == [1, 2, 2, 3]


def test_a_tie_makes_no_pair():
    assert rows.pairs([1, 1, 2]) == [(0, 2), (1, 2)]


def test_adjacent_pairs_are_neighbours_in_rank():
    assert rows.pairs([2, 1, 3], "adjacent") == [(0, 2), (1, 0)]


def test_best_pairs_are_won_by_a_first():
    assert rows.pairs([2, 1, 3], "best") == [(1, 0), (1, 2)]


def test_labelers_who_agree_repeat_a_pair():
    assert rows.row_pairs(judged([1, 2, 2], [1, 1, 2])) == [(0, 1), (0, 2), (0, 2), (1, 2)]


def test_a_judgment_without_ranks_makes_no_pair():
    assert rows.row_pairs(judged([])) == []


def test_the_best_answer_has_the_smallest_mean_rank():
    assert rows.best(judged([2, 1, 3], [3, 1, 2])) == 1
    assert rows.best(judged([1, 1, 2])) == 0
    assert rows.best(judged([])) is None


def test_the_order_of_keys_does_not_change_a_digest():
    assert rows.digest({"b": 1, "a": "é"}) == rows.digest({"a": "é", "b": 1})


@given(st.lists(st.integers(1, 9), min_size=2, max_size=9))
def test_every_unequal_pair_has_one_winner(ranks):
    found = rows.pairs(ranks)
    assert len(found) == sum(ranks[i] != ranks[j] for i in range(len(ranks)) for j in range(i))
    assert all(ranks[w] < ranks[l] for w, l in found)
    assert rows.pairs(rows.dense(ranks)) == found


def test_texts_are_split_by_their_content():
    splits = [rows.text_row(f"Text {n}")["split"] for n in range(500)]
    assert 350 < splits.count("train") < 450
    assert {"validation", "test"} < set(splits)
