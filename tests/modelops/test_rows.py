"""Ranks, and the pairs that they imply."""

import pytest
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


def numbered(*weights: float, ranks: list[list[int]]) -> dict:
    """A row whose judgments are of labelers 0, 1 and so on."""
    row = judged(*ranks)
    for number, (judgment, weight) in enumerate(zip(row["judgments"], weights, strict=True)):
        judgment |= {"labeler": number, "weight": weight}
    return row


def test_a_labeler_without_a_weight_keeps_the_one_of_the_row():
    row = numbered(1.0, 1.0, ranks=[[1, 2, 3], [3, 2, 1]])

    weighted = rows.weighted(row, {"1": 0.5})

    assert weighted == numbered(1.0, 0.5, ranks=[[1, 2, 3], [3, 2, 1]])
    assert row == numbered(1.0, 1.0, ranks=[[1, 2, 3], [3, 2, 1]]), "the row itself is as it was"
    assert rows.best(weighted) == 0


def test_good_and_bad_count_by_weight():
    ranks = [[1, 2, 3], [1, 2, 3], [3, 2, 1]]
    assert rows.labels(numbered(1.0, 1.0, 1.0, ranks=ranks), "half") == {"a": True, "c": False}
    assert rows.labels(numbered(0.5, 0.5, 1.5, ranks=ranks), "half") == {"a": False, "c": True}
    assert rows.labels(numbered(0.1, 0.2, 0.3, ranks=ranks), "half") == {}, "0.1 + 0.2 is 0.3"


def test_the_order_of_keys_does_not_change_a_digest():
    assert rows.digest({"b": 1, "a": "é"}) == rows.digest({"a": "é", "b": 1})


@given(st.lists(st.integers(1, 9), min_size=2, max_size=9))
def test_every_unequal_pair_has_one_winner(ranks):
    found = rows.pairs(ranks)
    assert len(found) == sum(ranks[i] != ranks[j] for i in range(len(ranks)) for j in range(i))
    assert all(ranks[w] < ranks[l] for w, l in found)
    assert rows.pairs(rows.dense(ranks)) == found


def test_a_judgment_counts_by_its_weight():
    row = judged([1, 2, 3], [3, 2, 1])
    row["judgments"][0]["weight"], row["judgments"][1]["weight"] = 0.25, 0.75

    assert rows.mean_ranks(row) == [2.5, 2.0, 1.5]
    assert rows.best(row) == 2


def test_what_weighs_nothing_ranks_nothing():
    row = judged([1, 2, 3])
    row["judgments"][0]["weight"] = 0.0

    assert (rows.mean_ranks(row), rows.best(row)) == ([], None)


def test_equal_means_are_equal_whatever_the_weights():
    row = judged([1, 2, 3], [2, 1, 3], [1, 2, 3], [2, 1, 3])
    for judgment, weight in zip(row["judgments"], [0.1, 0.2, 0.2, 0.1]):
        judgment["weight"] = weight

    assert rows.mean_ranks(row) == [1.5, 1.5, 3.0]


@pytest.mark.parametrize(
    ("split", "keys"),
    [
        ("train", ["ann", "bob", "dan"]),
        ("validation", ["lena"]),
        ("test", ["carol", "eve", "judy"]),
    ],
)
def test_the_split_of_a_key_is_the_same_for_ever(split, keys):
    """Prompts of every installation were split by it: these must never change."""
    assert [rows.split_of(key) for key in keys] == [split] * len(keys)


def test_about_a_tenth_of_the_keys_goes_to_each_held_out_split():
    splits = [rows.split_of(f"author-{n}") for n in range(5000)]
    assert 3900 < splits.count("train") < 4100
    assert 400 < splits.count("validation") < 600
