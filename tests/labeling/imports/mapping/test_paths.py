"""Paths into nested values."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.imports.mapping import paths
from labeling.imports.mapping.paths import EVERY, BadPath

ROW = {
    "prompt": "Why?",
    "messages": [{"content": "a"}, {"content": "b"}],
    "answers": [{"text": "x", "tags": ["t", None]}, {"text": None}],
    "a": {"b.c": ["first"]},
    "response 1": "blank",
    "cell": '{"winner": ["model_a"]}',
    "broken": "{not JSON",
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("prompt", "Why?"),
        ("messages[-1].content", "b"),
        ("messages[0].content", "a"),
        ("messages[2].content", None),
        ("answers[*].text", ["x", None]),
        ("answers[*].tags[*]", ["t", None]),
        ('a."b.c"[0]', "first"),
        ("response 1", "blank"),
        ("cell.winner[0]", "model_a"),
        ("broken.winner", None),
        ("prompt.content", None),
        ("nothing[*].at.all", None),
    ],
)
def test_a_path_leads_to_what_stands_there(path, value):
    assert paths.get(ROW, paths.steps(path)) == value


def test_values_are_all_that_stands_at_a_path_without_nulls():
    assert paths.values(ROW, paths.steps("answers[*].tags[*]")) == ["t"]
    assert paths.values(ROW, paths.steps("prompt")) == ["Why?"]
    assert paths.values(ROW, paths.steps("messages[9]")) == []


@pytest.mark.parametrize(
    "path", ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a]b", 'a"b', "a.[0]", "[0]b", 'a"b"']
)
def test_what_is_no_path_is_refused(path):
    with pytest.raises(BadPath):
        paths.steps(path)


@settings(deadline=None)
@given(st.lists(st.text() | st.integers(-99, 99) | st.just(EVERY), min_size=1).map(tuple))
def test_any_path_is_read_again_as_it_was_written(path):
    assert paths.steps(paths.text(path)) == path


@pytest.mark.parametrize("cell", ['{"a": 1, "a": 2}', "[0.12345678901234567891]", "[1", "text"])
def test_a_text_whose_json_would_not_be_kept_whole_stays_a_text(cell):
    assert paths.opened(cell) is None
