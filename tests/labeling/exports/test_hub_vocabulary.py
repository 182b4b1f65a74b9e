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
        ("CC0", "cc0-1.0"),
        ("CC BY", "other"),  # which version is not said
        ("ask Carol", "other"),
    ],
)
def test_a_licence_is_named_by_its_identifier(typed, identifier):
    assert hub_vocabulary.licence(typed) == identifier


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
