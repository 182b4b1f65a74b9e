"""The card's words are those of the Hugging Face Hub."""

import pytest

from labeling.exports import hub_vocabulary
from modelops.models import Dataset


@pytest.mark.parametrize(
    ("typed", "identifier"),
    [
        ("cc-by-4.0", "cc-by-4.0"),
        ("CC BY-SA 4.0", "cc-by-sa-4.0"),
        ("CC BY 4.0 International", "cc-by-4.0"),
        ("Apache License, Version 2.0", "apache-2.0"),
        ("The MIT License", "mit"),
        ("GPL v3.0", "gpl-3.0"),
        ("GNU GPL v3.0", "gpl-3.0"),
        ("GPLv3", "gpl-3.0"),
        ("GPL-3.0-or-later", "gpl-3.0"),
        ("GPL 2+", "gpl-2.0"),
        ("GNU General Public License v3 (GPLv3)", "gpl-3.0"),
        ("GNU Lesser General Public License, version 2.1 or later", "lgpl-2.1"),
        ("GNU Affero General Public License v3.0 only", "agpl-3.0"),
        ("Mozilla Public License 2.0", "mpl-2.0"),
        ("Apache Software License 2.0", "apache-2.0"),
        ("Apache-2", "apache-2.0"),
        ('BSD 3-Clause "New" or "Revised" License', "bsd-3-clause"),
        ("MIT License (MIT)", "mit"),
        ("Creative Commons Attribution-ShareAlike 3.0 Unported", "cc-by-sa-3.0"),
        ("Creative Commons Attribution-NonCommercial 4.0 International", "cc-by-nc-4.0"),
        ("Creative Commons Zero v1.0 Universal", "cc0-1.0"),
        ("https://creativecommons.org/licenses/by-nc-sa/4.0/", "cc-by-nc-sa-4.0"),
        ("deepfloyd-if-license", "deepfloyd-if-license"),
        ("CC0", "cc0-1.0"),
        ("GPL v4", "other"),
        ("CC BY", "other"),  # which version is not said
        ("ask Carol", "other"),
    ],
)
def test_a_licence_is_named_by_its_identifier(typed, identifier):
    assert hub_vocabulary.licence(typed) == identifier


@pytest.mark.parametrize("identifier", sorted(hub_vocabulary.LICENCES))
def test_the_hubs_own_identifiers_stay(identifier):
    assert hub_vocabulary.licence(identifier) == identifier


def test_a_licence_that_the_hub_does_not_know_keeps_its_name():
    lines = hub_vocabulary.metadata(Dataset(kind="text", licence="ask Carol", counts={"rows": 1}))

    assert lines[:2] == ['license: "other"', 'license_name: "ask Carol"']


@pytest.mark.parametrize(
    ("rows", "category"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (99_999, "10K<n<100K"),
        (100_000, "100K<n<1M"),
        (10**9, "1B<n<10B"),
        (10**12, "n>1T"),
    ],
)
def test_a_size_is_a_category(rows, category):
    assert hub_vocabulary.size(rows) == category


def test_languages_are_codes():
    names = ["en", "pt-BR", "English", "zh_Hans", "yue", "en"]

    assert hub_vocabulary.languages(names) == ["en", "pt", "zh", "yue"]


@pytest.mark.parametrize(
    ("kind", "judge_kinds", "tags"),
    [
        ("judgments", {"person": 2}, ["preference", "rlhf", "trl", "human-feedback"]),
        ("judgments", {"model": 1}, ["preference", "rlhf", "trl", "ai-feedback"]),
        ("judgments", {}, ["preference", "rlhf", "trl"]),
        ("demonstrations", {}, ["sft", "trl"]),
        ("prompts", {}, ["trl"]),
        ("text", {}, []),
    ],
)
def test_tags_say_who_judged(kind, judge_kinds, tags):
    assert hub_vocabulary.tags(Dataset(kind=kind, counts={"judge_kinds": judge_kinds})) == tags


def test_a_dataset_without_licence_and_language_names_neither():
    lines = hub_vocabulary.metadata(Dataset(kind="text", counts={"rows": 1}))

    assert lines == [
        "size_categories:",
        '- "n<1K"',
        "task_categories:",
        '- "text-generation"',
    ]
