"""JSON Lines load whatever is null first: examples that show a type late come first."""

import json
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import pytest
from datasets import load_dataset

from labeling.exports import downloads, type_inference
from labeling.exports.statistics import RowStatistics
from labeling.exports.type_inference import types_first
from modelops import datasets, rows
from tests.factories import TOOL_TURNS

ROWS = 12_000
PLAIN = {"turn": {"role": "user"}, "rating": None, "flags": []}


@pytest.fixture
def early(monkeypatch):
    """Only the first example counts as the beginning of the file."""
    monkeypatch.setattr(type_inference, "FIRST", 0)


def written(*examples: dict) -> list[dict]:
    return list(types_first(lambda: iter(examples)))


@pytest.mark.parametrize(
    "late",
    [
        {"rating": 7},
        {"flags": ["opinion"]},
        {"turn": {"role": "user", "name": "x"}},
        {"turn": {"role": 1}},
        {"turn": {"role": ["a"]}},
        {"more": 1},
    ],
    ids=lambda late: next(iter(late)) + str(next(iter(late.values()))),
)
def test_an_example_that_shows_a_type_late_comes_first(early, late):
    second = PLAIN | late

    assert written(PLAIN, PLAIN, second, PLAIN, second) == [second, PLAIN, PLAIN, PLAIN, second]


def test_what_shows_no_new_type_keeps_its_order(early):
    full = PLAIN | {"rating": 1, "flags": ["a"]}
    others = [full | {"rating": 2}, PLAIN, full | {"flags": []}, {"turn": None, "rating": None}]

    assert written(full, *others) == [full, *others]


def test_objects_that_differ_once_may_differ_ever_after(early):
    """Then they are read as JSON: of a thousand keys no thousand examples move."""
    objects = [{"metadata": {f"key {number}": number}} for number in range(5)]

    assert written(*objects) == [objects[1], objects[0], *objects[2:]]


def test_the_beginning_of_a_file_stays_as_it_is():
    second = PLAIN | {"rating": 7}

    assert written(PLAIN, second, PLAIN) == [PLAIN, second, PLAIN]


# Whole files


def row(number: int, messages: list[dict] | None = None, **judgment) -> dict:
    messages = messages or [{"role": "user", "content": f"{number} {'word ' * 200}"}]
    said = {"labeler": 0, "kind": "labeler", "outcome": "ranked", "ranks": [1, 2], "weight": 1.0}
    said |= {"ratings": [None, None], "flags": [[], []], "strength": None, "seconds": 2.0}
    answers = [
        {"id": place, "text": text, "model": "m", "finish_reason": "", "tokens": None}
        for place, text in enumerate(("good", "poor"))
    ]
    return {
        "prompt_id": f"{number:064}",
        "messages": messages,
        "split": "train",
        "use_case": "",
        "language": "",
        "answers": answers,
        "judgments": [said | judgment],
    }


def rated(number: int, messages: list[dict] | None = None) -> dict:
    """A row whose two judges agree, and say all that others don't."""
    full = row(number, messages, ratings=[7, None], flags=[[], ["opinion"]], strength=2)
    return full | {"judgments": [full["judgments"][0], full["judgments"][0] | {"labeler": 1}]}


@pytest.fixture
def download(project, tmp_path):
    """The download of these rows, with metadata."""

    def written(given: Iterable[dict], format: str) -> Path:
        statistics = RowStatistics()

        def lines():
            for one in given:
                statistics.add(one, ["person"] * len(one["judgments"]))
                yield rows.canonical(one)

        digest, folder = datasets.write(lines())
        dataset, _new = datasets.register(
            project, "judgments", digest, folder, statistics.counts(), query={}
        )
        file = tmp_path / "download.jsonl"
        with open(file, "wb") as out:
            downloads.write(dataset, downloads.choose(dataset, format, metadata=True), out)
        return file

    return written


@pytest.mark.django_db
def test_12_000_rows_load_although_only_the_last_is_rated_and_calls_a_tool(download, tmp_path):
    last = rated(ROWS - 1, TOOL_TURNS)
    file = download(chain(map(row, range(ROWS - 1)), [last]), "listwise")
    assert file.stat().st_size > 10 * 2**20
    cache = str(tmp_path / "cache")
    examples = load_dataset("json", data_files=str(file), split="train", cache_dir=cache)

    assert len(examples) == ROWS + 1
    of_last = [one for one in examples.select([0, ROWS]) if one["prompt_id"] == last["prompt_id"]]
    assert len(of_last) == 2, "one of its judgments comes first, the other where it was"
    for example in of_last:
        assert (example["agreement"], example["strength"]) == (1.0, 2)
        assert (example["ratings"], example["flags"]) == ([7, None], [[], ["opinion"]])
        call = example["prompt"][2]["tool_calls"][0]
        assert call["function"]["arguments"]["city"] == "Roma"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "format",
    ["conversational", "trl", "trl-implicit", "hh-rlhf", "unpaired", "listwise", "rows"],
)
def test_each_format_but_the_frozen_rows_begins_with_what_shows_a_type(early, download, format):
    file = download([row(0), row(1), rated(2)], format)
    first = json.loads(file.read_text().splitlines()[0])

    assert first["prompt_id"] == f"{0 if format == 'rows' else 2:064}"
