"""A first mapping by names and types, and what a person has to say."""

import pytest

from labeling.imports.files import Row
from labeling.imports.mapping import BadMapping, Mapping, Reader, fields, propose, unread

PERSON = {"kind": "person"}


def proposed(*rows):
    return propose(fields(rows), rows)


def completed(proposal, **judgment):
    """The mapping once a person has said what a proposal leaves open."""
    said = proposal.mapping.get("judgment", {}) | PERSON | judgment
    return Mapping.parse(proposal.mapping | {"judgment": said})


def test_a_preset_is_proposed_where_it_leaves_nothing_unread():
    row = {"system": "", "question": "?", "chosen": "a", "rejected": "b"}

    assert proposed(row).preset == "orca-dpo"
    assert proposed(row | {"note": "more"}).preset == ""


@pytest.mark.parametrize(
    ("row", "mapping"),
    [
        ({"Prompt": "?", "Output": "x"}, {"prompt": "Prompt", "demonstration": "Output"}),
        (
            {"instruction": "?", "input": "", "output": "x", "lang": "en"},
            {"prompt": ["instruction", "input"], "demonstration": "output", "language": "lang"},
        ),
        (
            {"prompt": "\n\nHuman: Hi\n\nAssistant:", "completion": "x"},
            {"prompt": {"field": "prompt", "as": "transcript"}, "demonstration": "completion"},
        ),
        (
            {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]}
            | {"lang": "en"},
            {"conversation": "messages", "language": "lang"},
        ),
        ({"messages": [{"role": "user", "content": "?"}]}, {"prompt": "messages"}),
        ({"question": "?", "images": ["1.png"]}, {"prompt": "question", "pictures": ["images"]}),
    ],
)
def test_prompts_and_demonstrations_are_proposed_by_name_and_form(row, mapping):
    proposal = proposed(row)

    assert (proposal.mapping, proposal.near) == (mapping, {})
    assert unread(Mapping.parse(mapping), fields([row | {"input": ""}])) == []


def test_who_judged_is_never_guessed():
    row = {"prompt": "?", "preferred": "a", "dispreferred": "b", "annotator": "ann"}

    proposal = proposed(row)

    with pytest.raises(BadMapping, match="who judged"):
        Mapping.parse(proposal.mapping)
    (entry,) = Reader(completed(proposal)).entries(Row(1, row))
    assert entry.judgments == [{"judge": "ann", "judge_kind": "person", "ranks": [1, 2]}]


def test_the_codes_of_a_winner_are_guessed_where_their_names_say_it():
    rows = [
        {"prompt": "?", "response_a": "x", "response_b": "y", "model_a": "m", "model_b": "n"}
        | {"winner": code}
        for code in ("model_a", "model_b", "tie (bothbad)", "tie", "odd")
    ]

    proposal = proposed(*rows)

    winner = proposal.mapping["judgment"]["winner"]
    assert winner == {
        "field": "winner",
        "a": ["model_a"],
        "b": ["model_b"],
        "both_bad": ["tie (bothbad)"],
        "tie": ["tie"],
    }
    reader = Reader(completed(proposal, winner=winner | {"a": ["model_a", "odd"]}))
    assert [reader.entries(Row(1, row))[0].judgments[0]["ranks"] for row in rows] == [
        [1, 2],
        [2, 1],
        None,
        [1, 1],
        [1, 2],
    ]


def test_numbers_are_codes_that_nobody_can_guess_unless_the_columns_have_them():
    zero = {"prompt": "?", "response_0": "x", "response_1": "y", "winner": 1}
    letters = {"prompt": "?", "answer_a": "x", "answer_b": "y", "label": 1}

    numbered = proposed(zero, zero | {"winner": 0}).mapping["judgment"]
    lettered = proposed(letters, letters | {"label": 0}).mapping["judgment"]

    assert numbered["winner"] == {"field": "winner", "a": ["0"], "b": ["1"]}
    assert lettered["winner"] == {"field": "label"}


def test_lists_are_read_by_their_names_and_scores_are_higher_if_nobody_says_more():
    row = {"query": "?", "candidates": [{"output": "x", "model": "m", "rating": 4}]}

    assert proposed(row).mapping == {
        "prompt": "query",
        "answers": {"each": "candidates", "text": "output", "model": "model", "score": "rating"},
        "judgment": {"better": "higher"},
    }


def test_a_signed_preference_is_a_scale_from_end_to_end():
    rows = [
        {"prompt": "?", "response1": "x", "response2": "y", "overall_preference": number}
        for number in (-3, 0, 2)
    ]

    assert proposed(*rows).mapping["judgment"]["scale"] == {
        "field": "overall_preference",
        "a": -3.0,
        "b": 3.0,
    }


def test_a_label_makes_the_one_answer_good_or_bad():
    proposal = proposed({"prompt": "?", "completion": "x", "label": "yes"})

    assert proposal.mapping == {
        "prompt": "prompt",
        "answers": "completion",
        "judgment": {"label": "label"},
    }


@pytest.mark.parametrize(
    ("row", "near"),
    [
        ({"prompt": "?", "anwsers": ["x", "y"]}, {"anwsers": "answers"}),
        ({"prompt": "?", "response_a": "x", "respnse_b": "y"}, {"respnse_b": "response_b"}),
        ({"prompt": "?", "ran": 1, "weather": "wet"}, {}),
    ],
)
def test_a_near_miss_is_named_and_mapped_to_nothing(row, near):
    proposal = proposed(row)

    assert proposal.near == near
    assert proposal.mapping == {"prompt": "prompt"}
    assert {*near} <= {
        field.path for field in unread(Mapping.parse({"prompt": "prompt"}), fields([row]))
    }
