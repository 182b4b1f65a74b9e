"""Conversations with tools and parts in every download, and what `datasets` makes of the files."""

import json
import zipfile

import pytest
from datasets import load_dataset

from labeling import imports
from labeling.exports import downloads, formats, freeze
from labeling.models import Demonstration, Prompt
from modelops import datasets, rows
from tests.factories import (
    TOOL_TURNS,
    make_person,
    make_project,
    make_prompt,
    make_ranking,
    make_task,
)

pytestmark = pytest.mark.django_db

PLAIN = [{"role": "user", "content": "Why is the sky blue?"}]
OTHER_CALL = [
    {"role": "user", "content": "And the sea?"},
    {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [
            {"type": "function", "function": {"name": "sea", "arguments": '{"city": 7}'}}
        ],
    },
    {"role": "tool", "content": ""},
]
ASKED = (PLAIN, TOOL_TURNS, OTHER_CALL)  # an ordinary one comes first


@pytest.fixture
def judgments():
    project = make_project()
    ann = make_person(project)
    for messages in ASKED:
        prompt = make_prompt(project, messages=messages)
        make_ranking(make_task(project, ["one", "two"], prompt), ann, [1, 2])
        Demonstration.objects.create(prompt=prompt, text="three")
    return freeze.freeze_now(None, project)


def as_trl_reads(messages: list[dict]) -> list[dict]:
    """The arguments are objects, all else is as it was stored."""
    turns = json.loads(json.dumps(messages))
    for turn in turns:
        for call in turn.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return turns


def asked(prompts) -> list[str]:
    return sorted(map(rows.canonical, prompts))


EXPECTED = asked(map(as_trl_reads, ASKED))
ANSWER = [[{"role": "assistant", "content": text}] for text in ("one", "two")]


def opened(dataset, format: str, file: str, folder):
    path = downloads.make(dataset, downloads.choose(dataset, format, file))
    kind = "parquet" if file == "parquet" else "json"
    return load_dataset(kind, data_files=str(path), split="train", cache_dir=str(folder))


@pytest.mark.parametrize("file", ["jsonl", "jsonl.gz", "parquet"])
def test_datasets_opens_conversational_pairs_as_they_are(judgments, file, tmp_path):
    pairs = opened(judgments, "conversational", file, tmp_path)

    assert asked(pairs["prompt"]) == EXPECTED
    assert list(pairs["chosen"]) == [ANSWER[0]] * 3
    assert list(pairs["rejected"]) == [ANSWER[1]] * 3


@pytest.mark.parametrize("file", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    ("format", "column", "more"),
    [
        ("trl-implicit", "chosen", ANSWER[0]),
        ("trl-implicit", "rejected", ANSWER[1]),
        ("unpaired", "prompt", []),
        ("prompt-completion", "prompt", []),
        ("prompt-only", "prompt", []),
        ("listwise", "prompt", []),
    ],
)
def test_datasets_opens_each_format_of_trl_with_its_turns(
    judgments, format, column, more, file, tmp_path
):
    found = opened(judgments, format, file, tmp_path)[column]
    expected = [as_trl_reads(messages) + more for messages in ASKED]

    assert set(asked(found)) == set(asked(expected))


def test_formats_of_plain_text_hold_the_words_of_each_turn(judgments, tmp_path):
    texts = opened(judgments, "trl", "jsonl", tmp_path)["prompt"]

    assert sorted(texts)[1:] == [
        '\n\nHuman: And the sea?\n\nAssistant: I look.\nsea({"city": 7})\n\nTool: ',
        "Why is the sky blue?",
    ]
    assert sorted(texts)[0] == (
        "\n\nDeveloper: Use the tools.\n\nHuman: How warm is\nRome?"
        '\n\nAssistant: weather({"city": "Roma", "at": ["now"]})\n\nTool: {"celsius": 31}'
    )


def test_the_folder_opens_with_examples_and_rows(judgments, tmp_path):
    path = downloads.make(judgments, downloads.choose(judgments, "folder"))
    zipfile.ZipFile(path).extractall(tmp_path / "folder")
    cache = {"cache_dir": str(tmp_path / "cache"), "split": "train"}
    examples = load_dataset(str(tmp_path / "folder"), **cache)
    frozen = load_dataset(str(tmp_path / "folder"), "rows", **cache)

    assert asked(examples["prompt"]) == EXPECTED
    assert asked(frozen["messages"]) == asked(ASKED)


def test_parquet_of_the_frozen_rows_comes_in_again(judgments):
    file = datasets.path(judgments) / "train.parquet"
    tally = imports.import_file(None, make_project(), file, format="rows")

    assert (tally.prompts, tally.rankings, tally.cleaned) == (3, 3, {})
    assert asked(Prompt.objects.values_list("messages", flat=True)) == asked([*ASKED] * 2)


def test_demonstrations_and_texts_hold_such_conversations(judgments, tmp_path):
    project = judgments.project
    demonstrations = freeze.freeze_now(None, project, "demonstrations")
    text = freeze.freeze_now(None, project, "text")

    found = opened(demonstrations, "prompt-completion", "parquet", tmp_path)
    assert asked(found["prompt"]) == EXPECTED
    told = [row["text"] for _line, row in formats.read(datasets.path(text))]
    assert 'And the sea?\n\nI look.\nsea({"city": 7})\n\n\n\nthree' in told


def test_a_dataset_of_ordinary_conversations_has_ordinary_columns(project, alice):
    make_ranking(make_task(project, ["one", "two"]), alice, [1, 2])
    dataset = freeze.freeze_now(None, project)

    assert "structured" not in dataset.counts
    path = downloads.make(dataset, downloads.choose(dataset, "conversational", "parquet"))
    from pyarrow import parquet

    assert "json" not in str(parquet.read_schema(path))
    assert "json" not in str(parquet.read_schema(datasets.path(dataset) / "train.parquet"))
