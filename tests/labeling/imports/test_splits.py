"""A split that a file names wins, in every format; two for one prompt are named."""

import json

import pytest

from labeling import imports
from labeling.imports import BadFile
from labeling.imports.formats import FORMATS
from labeling.imports.mapping import fields, unread
from labeling.models import Prompt
from labeling.text.conversations import Entry, split_of
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
SUMMARIES = {
    "info": {"post": "?", "title": ""},
    "summaries": [{"text": "a", "policy": "x"}, {"text": "b", "policy": "y"}],
    "choice": 0,
}
NESTED = {
    "summarize-from-feedback": lambda split: SUMMARIES | {"split": split},
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


@pytest.mark.parametrize("named", ["valid1", "valid2"])
def test_comparisons_of_summaries_have_two_validation_splits(named):
    (entry,) = FORMATS["summarize-from-feedback"].read(SUMMARIES | {"split": named}, "")

    assert entry.split == "validation"


@pytest.mark.parametrize(
    "format", ["trl", "hh-rlhf", "label-studio", "argilla", "summarize-from-feedback"]
)
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


# A prompt is one and the same however its rows are spelled before the cleaning

SPELLED = {
    "spaces": (" Who  knows? \r\n", "Who  knows?"),
    "controls": ("Who\u200b knows\u0007?", "Who knows?"),
    "repair": ("schÃ¶n?", "schön?"),
    "personal data": ("Is ann@example.org me?", "Is ann@example.org me?"),
    "personal data that are masked already": ("Is ann@example.org me?", "Is [e-mail] me?"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("how", SPELLED)
@pytest.mark.parametrize("splits", [("train", "test"), ("test", "train"), ("test", "validation")])
def test_two_splits_of_a_prompt_are_named_however_it_is_spelled(tmp_path, how, splits):
    if "masked" in how and splits[0] != "train":
        pytest.skip("only the training split is masked: these are two prompts")
    first, second = (
        {"prompt": text, "split": split} for text, split in zip(SPELLED[how], splits, strict=True)
    )
    why = f"this prompt is in split {splits[0]} already, and can't be in {splits[1]} too"

    with pytest.raises(BadFile, match=f"line 2: {why}"):
        bring(tmp_path, make_project(), first, second, format="prompts")
    project = make_project(slug="other")
    bring(tmp_path, project, first, format="prompts")
    with pytest.raises(BadFile, match=f"line 1: {why}"):
        bring(tmp_path, project, second, format="prompts")


@pytest.mark.django_db
def test_prompts_that_differ_where_cleaning_is_off_may_have_two_splits(tmp_path):
    rows = [{"prompt": " Who? ", "split": "train"}, {"prompt": "Who?", "split": "test"}]

    bring(tmp_path, make_project(), *rows, format="prompts", spaces=False)

    assert Prompt.objects.count() == 2


@pytest.mark.django_db
def test_addresses_of_two_people_are_not_one_prompt(tmp_path):
    """The training split has masks in their place, the test split has not."""
    project = make_project()
    rows = [
        {"prompt": "Is ann@example.org me?", "split": "train"},
        {"prompt": "Is ben@example.org me?", "split": "test"},
    ]
    bring(tmp_path, project, *rows, format="prompts")
    again = bring(tmp_path, project, *rows, format="prompts")

    assert (Prompt.objects.count(), again.duplicates) == (2, 2)


def unlucky(split: str) -> str:
    """A prompt with an address that would come into this split if nobody named one."""
    texts = (f"Is ann{n}@example.org me?" for n in range(100))
    return next(
        text for text in texts if split_of(Entry([{"role": "user", "content": text}])) == split
    )


@pytest.mark.django_db
@pytest.mark.parametrize(("named", "by_hash"), [("test", "train"), ("train", "test")])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_named_split_holds_for_later_rows_with_personal_data_too(
    tmp_path, named, by_hash, at_once
):
    """They are masked in the training split only: another split would make another prompt."""
    project, row = make_project(), {"prompt": f" {unlucky(by_hash)}"}
    files = [[row | {"split": named}], [row]]

    for rows in [sum(files, [])] if at_once else files:
        bring(tmp_path, project, *rows, format="prompts")

    assert Prompt.objects.get().split == named


@pytest.mark.django_db
@pytest.mark.parametrize("order", [1, -1])
def test_a_split_counts_for_rows_of_its_prompt_that_are_spelled_otherwise(tmp_path, order):
    rows = [
        row
        for n in range(20)
        for row in ({"prompt": f" {n}?", "split": "test"}, {"prompt": f"{n}?", "answers": ["a"]})
    ]
    bring(tmp_path, make_project(), *rows[::order], format="prompts")

    assert set(Prompt.objects.values_list("split", flat=True)) == {"test"}
