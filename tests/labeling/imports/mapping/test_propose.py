"""A first mapping by names and types, and what a person has to say."""

import pytest

from labeling.imports.files import Row
from labeling.imports.mapping import BadMapping, Mapping, Reader, fields, propose, unread

PERSON = {("judge kind", "", ""): "person"}


def proposed(*rows, answers=None):
    return propose(fields(rows), rows, answers)


def asked(proposal):
    return [(question.kind, question.path) for question in proposal.questions]


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

    assert (proposal.mapping, proposal.questions) == (mapping, [])
    assert unread(Mapping.parse(mapping), fields([row | {"input": ""}])) == []


def test_who_judged_is_never_guessed():
    row = {"prompt": "?", "preferred": "a", "dispreferred": "b", "annotator": "ann"}

    proposal = proposed(row)

    assert asked(proposal) == [("judge kind", "")]
    assert proposal.questions[0].choices == ("person", "model", "script", "unknown")
    with pytest.raises(BadMapping, match="who judged"):
        Mapping.parse(proposal.mapping)
    answered = proposed(row, answers=PERSON)
    assert answered.questions == []
    (entry,) = Reader(Mapping.parse(answered.mapping)).entries(Row(1, row))
    assert entry.judgments == [{"judge": "ann", "judge_kind": "person", "ranks": [1, 2]}]


def test_the_codes_of_a_winner_are_listed_for_confirmation():
    rows = [
        {"prompt": "?", "response_a": "x", "response_b": "y", "model_a": "m", "model_b": "n"}
        | {"winner": code}
        for code in ("model_a", "model_b", "tie (bothbad)", "tie", "odd")
    ]

    proposal = proposed(*rows, answers=PERSON)

    (question,) = proposal.questions
    assert (question.kind, question.path) == ("winner", "winner")
    assert dict(zip(question.values, question.proposed, strict=True)) == {
        "model_a": "a",
        "model_b": "b",
        "tie (bothbad)": "both_bad",
        "tie": "tie",
        "odd": "",
    }
    given = {("winner", "winner", code): "a" for code in ("model_a", "odd")}
    given |= {("winner", "winner", "model_b"): "b", ("winner", "winner", "tie"): "tie"}
    given |= {("winner", "winner", "tie (bothbad)"): "both_bad"}
    answered = proposed(*rows, answers=PERSON | given)
    reader = Reader(Mapping.parse(answered.mapping))
    assert answered.questions == []
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

    numbered = proposed(zero, zero | {"winner": 0}, answers=PERSON).questions[0]
    lettered = proposed(letters, letters | {"label": 0}, answers=PERSON).questions[0]

    assert dict(zip(numbered.values, numbered.proposed, strict=True)) == {"1": "b", "0": "a"}
    assert lettered.proposed == ("", "")


def test_scores_ask_which_end_is_better_and_lists_are_read_by_their_names():
    row = {"query": "?", "candidates": [{"output": "x", "model": "m", "rating": 4}]}

    proposal = proposed(row)

    assert proposal.mapping == {
        "prompt": "query",
        "answers": {"each": "candidates", "text": "output", "model": "model", "score": "rating"},
        "judgment": {"better": "higher"},
    }
    assert asked(proposal) == [("score direction", "rating"), ("judge kind", "")]
    lower = {("score direction", "rating", ""): "lower"}
    assert proposed(row, answers=lower | PERSON).mapping["judgment"] == {
        "better": "lower",
        "kind": "person",
    }


def test_a_signed_preference_asks_whose_sign_it_is():
    rows = [
        {"prompt": "?", "response1": "x", "response2": "y", "overall_preference": number}
        for number in (-3, 0, 2)
    ]

    sign = {("score direction", "overall_preference", "below 0"): "b"}

    assert proposed(*rows).mapping["judgment"]["scale"] == {
        "field": "overall_preference",
        "a": -3.0,
        "b": 3.0,
    }
    assert proposed(*rows, answers=sign).mapping["judgment"]["scale"]["a"] == 3.0


def test_a_label_makes_the_one_answer_good_or_bad():
    proposal = proposed({"prompt": "?", "completion": "x", "label": "yes"}, answers=PERSON)

    assert proposal.mapping == {
        "prompt": "prompt",
        "answers": "completion",
        "judgment": {"label": "label", "kind": "person"},
    }


def test_a_near_miss_is_asked_about_and_mapped_only_once_it_is_confirmed():
    row = {"prompt": "?", "anwsers": ["x", "y"]}

    proposal = proposed(row)

    (question,) = proposal.questions
    assert (question.kind, question.path, question.proposed) == (
        "near miss",
        "anwsers",
        ("answers",),
    )
    assert proposal.mapping == {"prompt": "prompt"}
    said = {("near miss", "anwsers", "anwsers"): "answers"}
    assert proposed(row, answers=said).mapping["answers"] == {"each": "anwsers"}
    no = proposed(row, answers={("near miss", "anwsers", "anwsers"): ""})
    assert (no.mapping, no.questions) == ({"prompt": "prompt"}, [])
    assert [field.path for field in unread(Mapping.parse(no.mapping), fields([row]))] == ["anwsers"]


def test_a_near_miss_of_one_of_two_columns_is_a_column_once_confirmed():
    row = {"prompt": "?", "response_a": "x", "respnse_b": "y", "rank_a": 1, "rank_b": 2}
    said = {("near miss", "respnse_b", "respnse_b"): "response_b"}

    proposal = proposed(row, answers=said | PERSON)

    assert ("near miss", "respnse_b") in asked(proposed(row))
    assert proposal.mapping["answers"] == [
        {"text": "response_a", "rank": "rank_a"},
        {"text": "respnse_b", "rank": "rank_b"},
    ]
    (entry,) = Reader(Mapping.parse(proposal.mapping)).entries(Row(1, row))
    assert entry.judgments[0]["ranks"] == [1, 2]
