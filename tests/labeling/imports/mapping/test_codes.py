"""Tables of codes: what a value means."""

import pytest

from labeling.imports.files import Row
from labeling.imports.mapping import BadMapping, Mapping, Reader
from labeling.imports.mapping.codes import Codes

PAIR = {"prompt": "?", "a": "Yes.", "b": "No.", "better": 1}
TABLE = {
    "prompt": "prompt",
    "answers": ["a", "b"],
    "judgment": {"kind": "person", "winner": {"field": "better", "a": [1], "b": [2]}},
}


def read(table, **row):
    ((_row, entries, reason),) = Reader(Mapping.parse(table)).read([Row(1, PAIR | row)])
    return entries[0] if entries else reason


def test_a_star_is_every_value_that_no_other_code_is_for_but_not_an_empty_one():
    codes = Codes({"a": ["x", "y*"], "b": ["*"]})

    assert [codes.meaning(value) for value in ("X", "yes", "no", 7, True)] == list("aabbb")
    assert [codes.meaning(value) for value in (None, "", " ")] == [None] * 3
    assert Codes({"a": ["x"]}).meaning("no") is None


def test_a_star_has_one_meaning():
    assert Codes({"a": ["*"], "b": ["*"]}).clash == "*"
    with pytest.raises(BadMapping, match="has two meanings"):
        Mapping.parse(TABLE | {"split": {"field": "s", "train": ["*"], "none": ["*"]}})


@pytest.mark.parametrize(
    ("given", "split"),
    [("cooking_train", "train"), ("cooking_test", "test"), ("cooking", ""), (None, "")],
)
def test_a_split_may_be_the_end_of_a_name_and_other_names_none(given, split):
    codes = {"train": ["*_train"], "test": ["*_test"], "none": ["*"]}

    assert read(TABLE | {"split": {"field": "domain"} | codes}, domain=given).split == split


def test_a_name_that_is_no_split_makes_a_bad_row_unless_the_table_has_it():
    assert "cooking" in read(TABLE | {"split": "domain"}, domain="cooking")


@pytest.mark.parametrize(
    ("judge", "name", "kind"),
    [
        ("expert_1", "expert_1", "person"),
        (["gpt-4", "pair-v2"], "gpt-4 pair-v2", "model"),
    ],
)
def test_the_kind_of_a_judge_is_told_from_its_name_which_may_be_a_list(judge, name, kind):
    kinds = {"field": "judge", "person": ["expert_*"], "model": ["gpt-4*"]}
    judgment = TABLE["judgment"] | {"judge": "judge", "kind": kinds}

    (read_judgment,) = read(TABLE | {"judgment": judgment}, judge=judge).judgments

    assert (read_judgment["judge"], read_judgment["judge_kind"]) == (name, kind)


# Codes with a star


@pytest.mark.parametrize(
    ("first", "second", "clashes"),
    [
        ("*_a", "*a", True),
        ("model*", "model_x*", True),
        ("*_a", "*_b", False),
        ("model*", "*_a", False),
        ("model*", "model_a", False),
    ],
)
def test_a_code_that_is_for_all_values_of_another_one_needs_its_meaning(first, second, clashes):
    assert bool(Codes({"a": [first], "b": [second]}).clash) == clashes
    assert bool(Codes({"b": [second], "a": [first]}).clash) == clashes
    assert not Codes({"a": [first, second]}).clash


def test_a_value_of_two_codes_with_different_winners_is_a_bad_row():
    codes = {"a": ["model*", "exactly b"], "b": ["*b"], "tie": ["*"]}
    judgment = {"kind": "person", "winner": {"field": "better"} | codes}

    def winner(value):
        made = read(TABLE | {"judgment": judgment}, better=value)
        return made if isinstance(made, str) else made.judgments[0]["ranks"]

    assert [winner("model x"), winner("x b"), winner("other")] == [[1, 2], [2, 1], [1, 1]]
    assert winner("exactly b") == [1, 2]
    assert winner("Model b") == (
        'better is "Model b", which has two meanings in the mapping: a (model*) and b (*b)'
    )
