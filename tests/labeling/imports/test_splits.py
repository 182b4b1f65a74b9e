"""A split that a file names wins, in every format; two for one prompt are named."""

import json

import pytest

from labeling import imports
from labeling.imports import BadFile
from labeling.imports.formats import FORMATS
from labeling.imports.mapping import fields, unread
from labeling.models import Prompt
from tests.factories import make_project

TALK = "\n\nHuman: ?\n\nAssistant: {}"
RANKED = {"result": [{"value": {"ranker": {"rank": ["1", "2"]}}}], "completed_by": 3}
ITEMS = [{"id": "1", "body": "a"}, {"id": "2", "body": "b"}]
RESPONSE = {"user_id": "u", "value": [{"value": "a", "rank": 1}, {"value": "b", "rank": 2}]}
ROWS = {
    "hh-rlhf": {"chosen": TALK.format("a"), "rejected": TALK.format("b")},
    "trl": {"prompt": "?", "chosen": "a", "rejected": "b"},
    "trl-implicit": {"chosen": "? a", "rejected": "? b"},
    "trl-unpaired": {"prompt": "?", "completion": "a", "label": True},
    "self-instruct": {"instruction": "?", "instances": [{"input": "", "output": "a"}]},
    "self-instruct-predictions": {"instruction": "?", "response": "a"},
    "prompts": {"prompt": "?"},
}
NESTED = {
    "label-studio": lambda split: {
        "data": {"prompt": "?", "items": ITEMS, "split": split},
        "annotations": [RANKED],
    },
    "argilla": lambda split: {
        "fields": {"prompt": "?", "a": "one", "b": "two"},
        "responses": {"rank": [RESPONSE]},
        "metadata": {"split": split},
    },
}


def rows_of(format, split):
    return NESTED[format](split) if format in NESTED else ROWS[format] | {"split": split}


def bring(folder, project, *rows, format, **settings):
    file = folder / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return imports.import_file(None, project, file, format, near=False, prefixes=False, **settings)


@pytest.mark.parametrize("format", [*ROWS, *NESTED])
@pytest.mark.parametrize(("named", "split"), [("test", "test"), ("val", "validation")])
def test_the_split_that_a_row_names_is_its_entry_s(format, named, split):
    if format == "prompts":
        named = split  # Podium's own format has Podium's own names
    row = rows_of(format, named)

    (entry,) = FORMATS[format].read(row, "")

    assert entry.split == split
    assert unread(FORMATS[format], fields([row])) == []


@pytest.mark.parametrize("format", ["trl", "hh-rlhf", "label-studio", "argilla"])
def test_a_name_that_is_no_split_makes_the_row_bad(format):
    with pytest.raises(ValueError, match="split must be train, validation or test, and is 'all'"):
        list(FORMATS[format].read(rows_of(format, "all"), ""))


@pytest.mark.django_db
@pytest.mark.parametrize("first", ["with a split", "without"])
def test_a_split_counts_for_all_rows_of_its_prompt_in_any_order(tmp_path, first):
    named = [{"prompt": f"{n}?", "chosen": "a", "rejected": "b"} for n in range(20)]
    others = [row | {"chosen": "c"} for row in named]
    named = [row | {"split": "test"} for row in named]
    order = named + others if first == "with a split" else others + named

    bring(tmp_path, make_project(), *order, format="trl")

    assert set(Prompt.objects.values_list("split", flat=True)) == {"test"}


@pytest.mark.django_db
def test_two_splits_for_one_prompt_are_named(tmp_path):
    project = make_project()
    rows = [ROWS["trl"] | {"split": "test"}, ROWS["trl"] | {"chosen": "c", "split": "train"}]

    with pytest.raises(BadFile, match="line 2: this prompt is in split test already"):
        bring(tmp_path, project, *rows, format="trl")
    bring(tmp_path, project, rows[0], format="trl")
    with pytest.raises(BadFile, match="line 1: this prompt is in split test already"):
        bring(tmp_path, project, rows[1], format="trl")
    bring(tmp_path, project, rows[0] | {"chosen": "d"}, format="trl")
    assert Prompt.objects.get().split == "test"
