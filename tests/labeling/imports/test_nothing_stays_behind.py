"""What a row says is read, or makes it a bad row with its reason, or is counted: in each format."""

import json

import pytest

from labeling import imports
from labeling.imports.formats import FORMATS
from labeling.text import conversations
from labeling.text.conversations import BadPrompt

ASKED = [{"role": "user", "content": "Sky?"}]
SAID = [{"role": "assistant", "content": "blue"}]
OURS = {"dataset": "d" * 64, "prompt_id": "p", "split": "test"}


def entries(format, row, file="rows.jsonl"):
    return list(FORMATS[format].read(row, file))


def why_bad(format, row):
    with pytest.raises(BadPrompt) as refused:
        entries(format, row)
    return str(refused.value)


def bring(tmp_path, project, format, *rows, **settings):
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return imports.import_file(None, project, file, format, near=False, prefixes=False, **settings)


# TRL's rows, which others write too

TRL = {
    "prompt-only": {"prompt": ASKED},
    "prompt-completion": {"prompt": ASKED, "completion": SAID},
    "listwise": {
        "prompt": ASKED,
        "completions": ["blue", "green"],
        "ranks": [1, 2],
        "outcome": "ranked",
    },
}


@pytest.mark.parametrize("format", TRL)
def test_what_others_say_of_a_prompt_is_read(format):
    about = {"split": "val", "use_case": "open qa", "language": "en"}

    [entry] = entries(format, TRL[format] | about)

    assert (entry.split, entry.use_case, entry.language) == ("validation", "open qa", "en")


@pytest.mark.parametrize("format", TRL)
def test_other_fields_of_others_are_kept_as_metadata(format):
    foreign = {"dataset": "ultrachat", "prompt_id": "u7", "agreement": 0.5, "split": "train"}
    judged = {"labeler": "ann", "kind": "person", "seconds": 2.5, "weight": 2, "strength": -1}
    beside = {} if format == "listwise" else judged

    [entry] = entries(format, TRL[format] | foreign | judged)

    del foreign["split"]
    assert entry.metadata == foreign | beside


def test_a_download_has_no_metadata_of_others():
    [entry] = entries("prompt-completion", TRL["prompt-completion"] | OURS | {"labeler": 3})
    assert (entry.metadata, entry.split) == ({}, "test")


@pytest.mark.parametrize(
    ("said", "judge", "kind"),
    [
        ({}, "mine", None),
        ({"labeler": "ann"}, "ann", None),
        ({"labeler": 3}, "mine labeler 3", None),
        ({"labeler": 0}, "mine labeler 0", None),
        ({"labeler": "gpt-4", "kind": "model"}, "gpt-4", "model"),
        ({"labeler": "ann", "kind": "adjudicated"}, "ann", "person"),
        (OURS | {"labeler": 3, "kind": "labeler"}, "dataset dddddddddddd labeler 3", "person"),
        (OURS | {"labeler": None}, "dataset dddddddddddd consensus", "script"),
    ],
)
def test_a_whole_ranking_is_by_the_judge_that_it_names(said, judge, kind):
    [entry] = entries("listwise", TRL["listwise"] | said, "mine.jsonl")

    [judgment] = entry.judgments
    assert (judgment["judge"], judgment.get("judge_kind")) == (judge, kind)


@pytest.mark.parametrize(
    ("format", "said", "reason"),
    [
        ("listwise", {"kind": "expert"}, 'not "expert"'),
        ("listwise", {"labeler": ["ann"]}, "labeler must be a text, not a list"),
        ("listwise", {"seconds": True}, "seconds must be a number"),
        ("listwise", {"split": "all"}, "split must be train, validation or test"),
        ("listwise", OURS | {"split": "all"}, "split must be train, validation or test"),
        ("prompt-only", {"language": "English (US)"}, "language has 12 characters"),
        ("prompt-completion", {"completion": ""}, "completion is empty"),
        ("prompt-completion", {"text": "blue"}, "a completion or a text, not both"),
        (
            "prompt-completion",
            {"completion": [{"role": "assistant", "content": ""}]},
            "completion is empty",
        ),
    ],
)
def test_what_such_a_row_can_not_mean_makes_it_bad(format, said, reason):
    assert reason in why_bad(format, TRL[format] | said)


# Prompts


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"answer_1": "a", "rank_2": 1}, "there is a rank_2 without an answer_2"),
        ({"answer_1": "a", "model_2": "m"}, "there is a model_2 without an answer_2"),
        ({"rank_1": 1}, "there is a rank_1 without an answer_1"),
        ({"answer_01": "a", "rank_1": 1}, "there is a rank_1 without an answer_1"),
        ({"answers": ["a", "b"], "answer_1": "c"}, "not both"),
        ({"answers": ["a", "b"], "rank_1": 1}, "there is a rank_1 without an answer_1"),
        ({"judge_kind": "alien"}, "judge_kind must be one of"),
    ],
)
def test_columns_that_belong_to_no_answer_make_a_row_bad(row, reason):
    assert reason in why_bad("prompts", {"prompt": "Sky?"} | row)


def test_columns_may_be_numbered_with_zeros_and_left_empty():
    row = {"prompt": "Sky?", "answer_02": "green", "rank_02": "2", "model_02": "m"}
    row |= {"answer_01": "blue", "rank_01": "1", "answer_10": "", "rank_10": "3"}
    row |= {"answer_3": None, "model_3": None, "rank_3": "", "answers": []}

    [entry] = entries("prompts", row)

    assert [(answer["text"], answer["model"]) for answer in entry.answers] == [
        ("blue", "unknown"),
        ("green", "m"),
        ("", "unknown"),
    ]
    assert entry.judgments[0]["ranks"] == [1, 2, 3]


def test_the_judge_of_a_row_without_its_judgment_is_counted():
    row = {"prompt": "Sky?", "labeler": "ann", "judge_kind": "person"}
    ranked = [{"text": "a", "rank": 1}, {"text": "b", "rank": 2}]

    assert entries("prompts", row)[0].ignored == {"judges": "ann, person"}
    assert entries("prompts", row | {"answers": ranked})[0].ignored == {}
    assert entries("prompts", {"prompt": "Sky?"})[0].ignored == {}


# Turns, and JSON texts


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
@pytest.mark.parametrize("name", ["name", "tool_call_id"])
def test_a_name_of_a_turn_that_can_have_none_makes_a_row_bad(role, name):
    turn = {"role": role, "content": "Hi", name: "ann"}
    bare = {"role": role, "content": "Hi", name: None}

    reason = f'only a turn of a tool has a {name}, not one of {role}: "ann"'
    assert why_bad("prompts", {"messages": [turn, *ASKED]}) == reason
    assert entries("prompts", {"messages": [bare, *ASKED]})[0].messages[1:] == ASKED


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "a": 2}', 'the key "a" is there twice'),
        ('{"b": [{"a": 1, "a": 1}]}', 'the key "a" is there twice'),
        ('{"a": 0.12345678901234567890123}', "has more digits than can be stored"),
        ('{"a": 12345678901234567890.5}', "has more digits than can be stored"),
        ('{"a": 1e999}', "finite numbers"),
        ('{"a": NaN}', "finite numbers"),
        ('{"a": 123456789012345678901234567890}', "at most 64 bits"),
        ('{"a": ' + "1" * 5000 + "}", "not JSON"),
        ("{'a': 1}", "not JSON"),
    ],
)
def test_json_text_that_would_not_be_kept_whole_makes_a_row_bad(text, reason):
    call = {"type": "function", "function": {"name": "look", "arguments": text}}
    asked = [{"role": "assistant", "content": "", "tool_calls": [call]}, *ASKED]

    assert reason in why_bad("prompts", {"prompt": "Sky?", "metadata": text})
    assert reason in why_bad("prompts", {"messages": asked})


def test_scores_as_json_text_have_no_key_twice():
    judgment = {"labeler": 0, "kind": "labeler", "outcome": "ranked", "ranks": [1]}
    answers = [{"id": 0, "text": "blue", "model": "m"}]
    row = {"prompt_id": "p", "messages": ASKED, "split": "train", "use_case": "", "language": ""}
    row |= {"answers": answers, "judgments": [judgment | {"scores": '{"tone": 1, "tone": 2}'}]}

    assert 'the key "tone" is there twice' in why_bad("rows", row)


@pytest.mark.parametrize("number", ["0.1", "1.50", "0.50000000000000000000", "0.10000000000000001"])
def test_decimals_that_a_number_keeps_come_in(number):
    metadata = conversations.metadata(f'{{"a": {number}}}')
    assert metadata == {"a": float(number)}
