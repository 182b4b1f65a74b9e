"""Presets among the formats: recognised, imported and shown as any other."""

import json

import pytest

from labeling import imports
from labeling.imports.formats import FORMATS
from labeling.imports.mapping import PRESETS
from labeling.imports.sources import source_of
from labeling.models import RankedCandidate
from modelops.recipes import FORMATS_IN, ImportRecipe
from tests.factories import make_project

ORCA = {"system": "Be brief.", "question": "Why?", "chosen": "So.", "rejected": "No."}


def as_file(folder, *rows):
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_every_preset_is_a_format_that_a_recipe_may_name():
    assert set(PRESETS) <= set(FORMATS) <= set(FORMATS_IN)


@pytest.mark.django_db
def test_a_preset_is_recognised_and_its_answers_come_in_ranked(tmp_path):
    file = as_file(tmp_path, ORCA, ORCA | {"system": "", "question": "Who?"})

    format = imports.recognise(file)
    tally = imports.import_file(None, make_project(), file, format)

    assert (format, tally.prompts, tally.answers, tally.rankings) == ("orca-dpo", 2, 4, 2)
    ranks = RankedCandidate.objects.values_list("candidate__text", "rank")
    assert set(ranks) == {("So.", 1), ("No.", 2)}


@pytest.mark.parametrize("format", ["orca-dpo", "trl"])
def test_a_row_without_a_rejected_answer_is_bad_among_its_neighbours(tmp_path, format):
    whole = ORCA if format == "orca-dpo" else {"prompt": "?", "chosen": "a", "rejected": "b"}
    lacking = {name: text for name, text in whole.items() if name != "rejected"}
    file = as_file(tmp_path, whole, lacking, whole)

    recognised = imports.recognise(file)
    source = source_of(ImportRecipe(format=recognised))

    assert recognised == format
    assert [(len(e), bool(reason)) for _row, e, reason in imports.preview(file, source)] == [
        (1, False),
        (0, True),
        (1, False),
    ]


def test_the_format_that_leaves_the_fewest_fields_unread_is_recognised(tmp_path):
    rows = [{"prompt": "?", "answers": ["a", "b"]}, {"prompt": "!", "answers": ["c"]}]

    assert imports.recognise(as_file(tmp_path, *rows)) == "prompts"
    assert imports.recognise(as_file(tmp_path, {"nothing": "known"})) == ""
