"""What the ranking form says is kept as it is, and means one judgment."""

import json
from uuid import UUID

import pytest
from django.http import QueryDict

from labeling.judging import form
from labeling.judging.judgment import Judgment, Verdict
from labeling.models import Assignment, ProjectRules
from people.models import Project

FULL = (
    "rank-a=2&rank-b=1&rank-c=2&rating-a=7&flags-a=opinion&flags-a=sexual&labels=sensitive&note=+why%0D%0Anot+"
    "&outcome=ranked&seconds=12.5&order=bac"
)


def typed(text, k=3, **rules):
    project = ProjectRules(project=Project(), **rules).project
    return form.typed(QueryDict(text), Assignment(project=project, order=list(range(k))))


def test_a_judgment_says_what_the_form_said():
    assert form.judgment(typed(FULL)) == Judgment(
        verdicts={"a": Verdict(2, 7, ["sexual", "opinion"]), "b": Verdict(1), "c": Verdict(2)},
        labels=["sensitive"],
        note="why\nnot",
        seconds=12.5,
    )


def test_a_draft_survives_the_database():
    draft = typed(FULL)
    assert form.judgment(json.loads(json.dumps(draft))) == form.judgment(draft)


def test_an_empty_form_is_an_empty_draft():
    assert form.judgment(typed("")) == Judgment(verdicts={})


@pytest.mark.parametrize(
    "nonsense",
    [
        "rank-a=0",
        "rank-a=4",
        "rank-a=-1",
        "rank-a=one",
        "rank-a=%C2%B2",
        "rank-a=" + "9" * 5000,
        "rank-d=1",
        "rank-=1",
        "rating-a=8",
        "rating-a=0",
        "flags-a=unknown",
        "labels=unknown",
        "outcome=best",
        "order=xyz",
        "seconds=nan",
        "seconds=-5",
        "seconds=inf",
        "seconds=soon",
        "job=1",
        "note=%00",
        "strength=4",
        "strength=",
        "strength=best",
    ],
)
def test_nonsense_is_left_out(nonsense):
    assert typed(nonsense) == typed("")


@pytest.mark.parametrize(
    ("rules", "what"),
    [
        ({"rating": False}, "rating-a=7"),
        ({"flags": ["rude"]}, "flags-a=opinion"),
        ({"notes": False}, "note=why"),
    ],
)
def test_what_the_project_switched_off_is_left_out(rules, what):
    assert typed(what, **rules) == typed("")


def test_a_project_may_have_flags_of_its_own():
    assert typed("flags-a=rude&flags-b=Too+long", flags=["rude", "Too long"])["flags"] == {
        "a": ["rude"],
        "b": ["Too long"],
    }


def test_a_strength_is_kept_with_its_sign():
    assert form.judgment(typed("strength=-3", k=2)).strength == -3


def test_a_note_has_an_end():
    assert len(typed("note=" + "x" * 20_000)["note"]) == form.LONGEST_NOTE


def test_a_form_has_a_key_of_its_own():
    given = "0a0b0c0d-0000-4000-8000-000000000000"
    assert form.key(QueryDict(f"key={given}")) == UUID(given)
    assert form.key(QueryDict("key=x")) != form.key(QueryDict("key=x"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("reason=broken", "broken"),
        ("reason=broken&detail=cut+off", "broken: cut off"),
        ("detail=no+idea", "other: no idea"),
        ("reason=lazy", ""),
        ("", ""),
    ],
)
def test_a_skip_has_a_reason(data, reason):
    assert form.skip_reason(QueryDict(data)) == reason
