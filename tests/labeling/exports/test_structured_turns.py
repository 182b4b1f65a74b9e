"""Conversations with tools and parts in every download, and what `datasets` makes of the files."""

import json
import zipfile

import pytest
from datasets import load_dataset

from labeling import imports
from labeling.exports import downloads, formats, freeze
from labeling.models import Candidate, Demonstration, Prompt
from modelops import datasets, rows
from tests.factories import (
    ANSWER_TEXT,
    ANSWER_TURNS,
    TOOL_TURNS,
    make_model,
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


# Answers that are more than a text


@pytest.fixture
def answered(project, alice):
    task = make_task(project, ["It is 31 degrees.", ANSWER_TEXT])
    task.candidates.filter(text=ANSWER_TEXT).update(messages=ANSWER_TURNS)
    make_ranking(task, alice, [2, 1])
    return freeze.freeze_now(None, project)


@pytest.mark.parametrize("file", ["jsonl", "parquet"])
def test_datasets_opens_answers_of_several_turns_as_they_are(answered, file, tmp_path):
    [pair] = opened(answered, "conversational", file, tmp_path)
    [whole] = opened(answered, "trl-implicit", file, tmp_path)

    assert pair["chosen"] == as_trl_reads(ANSWER_TURNS)
    assert pair["rejected"] == [{"role": "assistant", "content": "It is 31 degrees."}]
    assert whole["chosen"] == pair["prompt"] + pair["chosen"]


@pytest.mark.parametrize("format", ["conversational", "trl-implicit", "unpaired"])
def test_answers_of_several_turns_go_out_for_trl_and_come_in_again(answered, format):
    path = downloads.make(answered, downloads.choose(answered, format))
    imports.import_file(
        None,
        other := make_project(),
        path,
        format={"conversational": "trl"}.get(format, f"trl-{format.removeprefix('trl-')}"),
    )
    kept = Candidate.objects.get(prompt__project=other, messages__isnull=False)

    assert (kept.messages, kept.text) == (ANSWER_TURNS, ANSWER_TEXT)
    assert (
        Candidate.objects.get(prompt__project=other, messages__isnull=True).text
        == "It is 31 degrees."
    )


def test_plain_text_formats_hold_what_an_answers_turns_say(answered, tmp_path):
    [pair] = opened(answered, "trl", "jsonl", tmp_path)
    [transcript] = opened(answered, "hh-rlhf", "jsonl", tmp_path)

    assert pair["chosen"] == ANSWER_TEXT
    assert transcript["chosen"].endswith(f"\n\nAssistant: {ANSWER_TEXT}")


def test_the_rows_have_the_turns_where_there_are_any_also_in_parquet(answered, tmp_path):
    [row] = rows.read(datasets.path(answered))
    path = downloads.make(answered, downloads.choose(answered, "folder"))
    zipfile.ZipFile(path).extractall(tmp_path / "folder")
    [opened_row] = load_dataset(
        str(tmp_path / "folder"), "rows", split="train", cache_dir=str(tmp_path / "cache")
    )

    assert ["messages" in answer for answer in row["answers"]] == [False, True]
    assert row["answers"][1]["messages"] == ANSWER_TURNS
    assert [answer["messages"] for answer in opened_row["answers"]] == [None, ANSWER_TURNS]
    assert answered.counts["answers_of_turns"] == 1


def test_a_file_that_was_imported_before_turns_were_kept_is_known_again(tmp_path):
    """The digest of its row is that of an answer without turns."""
    row = {"prompt": PLAIN, "completion": ANSWER_TURNS, "label": True}
    before = row | {"completion": ANSWER_TEXT}
    project = make_project()
    for number, line in enumerate((before, row)):
        file = tmp_path / f"{number}.jsonl"
        file.write_text(json.dumps(line))
        tally = imports.import_file(None, project, file, format="trl-unpaired")

    assert (tally.known, tally.answers) == (1, 0)


def test_equal_texts_with_and_without_turns_are_frozen_in_one_order_whatever_their_slots():
    digests = set()
    for with_turns in (0, 1):
        project = make_project()
        model, prompt = make_model(project, "one"), make_prompt(project, messages=PLAIN)
        task = make_task(project, [ANSWER_TEXT] * 2, prompt, model)
        task.candidates.filter(slot=with_turns).update(messages=ANSWER_TURNS)
        ranks = [1, 2] if with_turns else [2, 1]  # the one with turns is the worse
        make_ranking(task, make_person(project), ranks)
        digests.add(freeze.freeze_now(None, project).digest)

    assert len(digests) == 1
