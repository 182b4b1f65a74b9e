"""The reason of a bad row names what stands in the wrong place."""

import pytest

from labeling.imports.files import Row
from labeling.imports.sources import source_of
from modelops.recipes import ImportRecipe

TWO = [{"text": "a"}, {"text": "b"}]
TREE = {"role": "prompter", "text": "Why?"}


def entries_of(row, format):
    """The entries of a row in this format, and why it is bad."""
    [(_row, entries, error)] = source_of(ImportRecipe(format=format)).read([row])
    return entries, error


def ranked(*ranks, **others):
    answers = [{"text": str(n), "rank": rank} for n, rank in enumerate(ranks)]
    return {"prompt": "Why?", "answers": answers} | others


def judged(ranks, **others):
    return {"prompt": "Why?", "answers": TWO, "judgments": [{"ranks": ranks} | others]}


CASES = [
    ("prompts", 12, 'an object with either "prompt" or "messages", not a number'),
    ("prompts", {"text": "x"}, 'either "prompt" or "messages": this one has "text"'),
    ("prompts", {"prompt": "x", "messages": []}, "not both"),
    ("prompts", {"prompt": 12}, "must be a text or a list of parts, not a number"),
    ("prompts", {"prompt": None}, "must be a text or a list of parts, not null"),
    ("prompts", {"messages": {"role": "user"}}, "messages must be a list of turns, not an object"),
    ("prompts", {"prompt": "x", "author": {"id": 1}}, "author must be a text, not an object"),
    ("prompts", {"prompt": "x", "author": "a" * 201}, "author has 201 characters: at most 200"),
    ("prompts", {"prompt": "x", "split": "dev"}, 'train, validation or test, not "dev"'),
    ("prompts", {"prompt": "x", "sensitive": 5}, "sensitive must be true or false, not 5"),
    ("prompts", {"prompt": "x", "demonstration": ["d"]}, "must be a text, not a list"),
    ("prompts", {"prompt": "x", "answers": {"a": 1}}, "answers must be a list, not an object"),
    ("prompts", {"prompt": "x", "answers": ["a"] * 101}, "at most 100 answers, not of 101"),
    ("prompts", {"prompt": "x", "answers": [7]}, "an object with a text or messages, not a number"),
    ("prompts", {"prompt": "x", "answers": [{"body": "a"}]}, 'text or messages: one has "body"'),
    ("prompts", {"prompt": "x", "answers": [{"text": {"a": 1}}]}, "must be a text, not an object"),
    ("prompts", ranked(1, None), "each answer needs a rank, or none of them: 2 answers, 1 ranks"),
    ("prompts", ranked(1), "ranks need two or more answers to rank, not 1"),
    ("prompts", ranked(1, 2.5), "a rank must be a whole number, not 2.5"),
    ("prompts", ranked(1, "2"), 'a rank must be a whole number, not "2"'),
    ("prompts", judged("1,2"), "the ranks of a judgment must be a list, not a text"),
    ("prompts", judged([1, 2], answers=[0, 2]), "of 2 answers, 2 is none"),
    ("prompts", judged([1, 2], answers=[1, 1]), "one is there twice"),
    ("prompts", {"prompt": "x", "answers": TWO, "judgments": ["a"]}, "not a text"),
    ("prompts", {"prompt": "x", "metadata": [1]}, "metadata must be an object, not a list"),
    ("trl", {"prompt": "x", "chosen": "a"}, 'this one has no "rejected"'),
    ("trl", {"prompt": "x", "chosen": {"a": 1}, "rejected": "b"}, "a text, not an object"),
    ("trl", {"prompt": "x", "chosen": None, "rejected": "b"}, "must be a text, not null"),
    ("trl-unpaired", {"prompt": "x", "completion": "a", "label": "good"}, 'not "good"'),
    ("trl-implicit", {"chosen": [1], "rejected": [1]}, "no turn of the user"),
    ("hh-rlhf", {"chosen": ["a"], "rejected": "b"}, "must be a transcript, not a list"),
    ("open-assistant", {"prompt": TREE | {"replies": ["a"]}}, "must be an object, not a text"),
    ("open-assistant", {"prompt": TREE | {"replies": {"a": 1}}}, "a list, not an object"),
    ("open-assistant", {"prompt": TREE | {"role": "boss"}}, 'not "boss"'),
    ("open-assistant", {"prompt": {"role": "prompter"}}, 'this one has no "text"'),
    ("self-instruct", {"instruction": ["x"]}, "instruction must be a text, not a list"),
    (
        "self-instruct",
        {"instruction": "x", "instances": [{"input": {"a": 1}}]},
        "input must be a text, not an object",
    ),
    (
        "summarize-from-feedback",
        {"info": {"post": "p"}, "summaries": TWO, "choice": 2},
        "choice must be 0 or 1, not 2",
    ),
    (
        "summarize-from-feedback",
        {"info": {"post": "p", "title": ["t"]}, "summaries": TWO, "choice": 0},
        "title must be a text, not a list",
    ),
    ("label-studio", {"data": {}, "annotations": []}, "no text among its fields"),
    ("label-studio", {"data": [], "annotations": []}, "a list stands where something else belongs"),
    ("rows", {"messages": [], "labels": 1}, "does not read: labels"),
    ("rows", ["a"], "a row must be an object, not a list"),
]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_reason_names_the_real_cause(number):
    format, value, why = CASES[number]
    entries, error = entries_of(Row(1, value, file="a.jsonl"), format)

    assert entries == []
    assert why in error


@pytest.mark.parametrize("ranks", [(1.0, 2.0), (2.0, 1)])
def test_whole_numbers_may_be_written_as_floats(ranks):
    replies = [{"role": "assistant", "text": str(n), "rank": rank} for n, rank in enumerate(ranks)]
    tree = TREE | {"replies": [*replies, {"role": "assistant", "text": "?", "rank": None}]}
    values = [{"value": str(n), "rank": rank} for n, rank in enumerate(ranks)]
    fields = {"prompt": "Why?", "0": "a", "1": "b"}
    argilla = {"fields": fields, "responses": {"q": [{"user_id": "u", "value": values}]}}
    rows = [
        ("prompts", ranked(*ranks)),
        ("prompts", judged(list(ranks))),
        ("open-assistant", {"prompt": tree}),
        ("argilla", argilla),
    ]
    for format, value in rows:
        [entry], error = entries_of(Row(1, value), format)
        [judgment] = entry.judgments
        assert (judgment["ranks"], error) == (list(map(int, ranks)), "")
        assert all(type(rank) is int for rank in judgment["ranks"])


@pytest.mark.parametrize(
    "row",
    [
        ("open-assistant", {"prompt": TREE | {"replies": [{"role": "assistant", "rank": "1"}]}}),
        (
            "argilla",
            {
                "fields": {"prompt": "Why?", "a": "x"},
                "responses": {"q": [{"value": [{"value": "a", "rank": 1.5}]}]},
            },
        ),
    ],
    ids=["open-assistant", "argilla"],
)
def test_a_rank_that_is_none_does_not_vanish(row):
    format, value = row
    entries, error = entries_of(Row(1, value), format)

    assert entries == []
    assert "a rank must be a whole number" in error
