"""The benchmark of files in the shapes of public sets: what it calls right, and what silent."""

import json

import pytest

from benchmarks import shapes
from benchmarks.shapes import Outcome
from people.models import User
from tests.factories import make_person

PAIR = {"prompt": "A nut?", "answer_1": "Hazel.", "answer_2": "Bolt.", "rank_1": 1, "rank_2": 2}
RIGHT = {"prompts": ["u5"], "tasks": ["a6 a5: 1 2"]}


@pytest.fixture
def owner(db):
    person = make_person(name="owner")
    User.objects.filter(pk=person.pk).update(email=shapes.OWNER)


def saved(path, *values):
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


@pytest.mark.parametrize("way", shapes.WAYS)
def test_each_way_brings_a_file_in(owner, tmp_path, way):
    file = saved(tmp_path / "pairs.jsonl", PAIR)

    outcome = shapes.WAYS[way](file, shapes.new_project(f"{way} pairs"))

    assert outcome.differs(RIGHT) == []
    assert outcome.came_in["unjudged"] == outcome.came_in["demonstrations"] == []


@pytest.mark.parametrize("way", shapes.WAYS)
def test_each_way_names_bad_rows(owner, tmp_path, way):
    file = saved(tmp_path / "pairs.jsonl", PAIR, {"prompt": 7})

    outcome = shapes.WAYS[way](file, shapes.new_project(f"{way} bad"))

    assert outcome.differs(RIGHT | {"bad": {"2": ""}}) == []
    assert outcome.differs(RIGHT) == ["bad rows ['2'], not []"]


def test_a_lost_ranking_is_silent_unless_something_is_said_of_it():
    lost = {"prompts": ["u5"], "tasks": [], "unjudged": ["a6 a5"], "demonstrations": []}

    assert Outcome(lost).differs(RIGHT) == [
        "tasks [], not ['a6 a5: 1 2']",
        "unjudged ['a6 a5'], not []",
    ]
    assert Outcome(lost).is_silent(RIGHT)
    assert not Outcome(lost, bad={"1": "rank_1 is missing"}).is_silent(RIGHT)
    assert not Outcome(lost, refused="nothing was imported").is_silent(RIGHT)
    assert not Outcome(lost, stays_behind=["rank_1"]).is_silent(RIGHT)


def test_a_bad_row_that_was_expected_makes_nothing_else_said():
    expected = RIGHT | {"bad": {"2": "picture"}}
    lost = {"prompts": ["u5"], "tasks": [], "unjudged": ["a6 a5"], "demonstrations": []}

    assert Outcome(lost, bad={"2": "holds a picture"}).is_silent(expected)
    assert "row 2 is bad because: too long" in Outcome(lost, bad={"2": "too long"}).differs(
        expected
    )


def test_the_letters_of_what_came_in(owner, tmp_path):
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "A nut?"}]
    calls = [{"type": "function", "function": {"name": "find", "arguments": "{}"}}]
    answers = [{"messages": [{"role": "assistant", "content": "", "tool_calls": calls}]}, "Nut."]
    judged = {
        "messages": turns,
        "answers": answers,
        "judgments": [{"labeler": "a", "ranks": [2, 2]}],
    }
    file = saved(
        tmp_path / "rows.jsonl",
        judged,
        {"prompt": "No rank?", "answers": ["a", "b c"]},
        {"prompt": "Write.", "demonstration": "So be it.", "split": "test"},
    )

    came_in = shapes.by_command(file, shapes.new_project("letters")).came_in

    assert came_in["prompts"] == ["s7 u5", "u7", "u6"]
    assert came_in["tasks"] == ["a0* a4: 1 1"]
    assert came_in["unjudged"] == ["a1 a2"]
    assert came_in["demonstrations"] == ["a7"]
