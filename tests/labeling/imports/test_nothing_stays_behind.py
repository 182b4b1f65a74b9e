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
