"""What an import says of its judges: of what kind they are, said by the row or by its format."""

import json

import pytest

from labeling import imports
from labeling.models import ImportedRow, Judge, Ranking, imported_judge
from tests.factories import make_person, make_project
from tests.labeling.api.hands import Hands
from tests.labeling.imports.test_forms import looked_at
from tests.pages import one_line

pytestmark = pytest.mark.django_db
RANKED = [{"text": "blue", "rank": 1}, {"text": "green", "rank": 2}]


def bring(tmp_path, *rows, project=None, format=None):
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    project = project or make_project()
    return imports.import_file(None, project, file, format or imports.recognise(file))


def kinds():
    """{name: (kind, whether it was stated)} of the imported judges."""
    judges = Judge.objects.filter(account=None)
    return {judge.name: (judge.kind, judge.stated) for judge in judges}


def row(number=0, **said):
    return {"prompt": f"What is {number} times {number + 1}?", "answers": RANKED} | said


SUMMARY = {
    "info": {"post": "I lost my keys."},
    "summaries": [{"text": "Lost.", "policy": "a"}, {"text": "Found.", "policy": "b"}],
    "choice": 0,
    "worker": "w7",
}
LABEL_STUDIO = {
    "data": {"prompt": "Sky?", "items": [{"id": "a", "body": "x"}, {"id": "b", "body": "y"}]},
    "annotations": [{"completed_by": 4, "result": [{"value": {"ranker": {"rank": ["a", "b"]}}}]}],
}
ARGILLA = {
    "fields": {"prompt": "Sky?", "a": "blue", "b": "green"},
    "responses": {"q": [{"user_id": "u1", "value": ["a", "b"]}]},
}
TREE = {
    "prompt": {
        "role": "prompter",
        "text": "Sky?",
        "replies": [
            {"role": "assistant", "text": "blue", "rank": 0},
            {"role": "assistant", "text": "green", "rank": 1},
        ],
    }
}
TRANSCRIPTS = {
    "chosen": "\n\nHuman: Sky?\n\nAssistant: blue",
    "rejected": "\n\nHuman: Sky?\n\nAssistant: green",
}
TRL = {"prompt": "Sky?", "chosen": "blue", "rejected": "green"}
UNPAIRED = {"prompt": "Sky?", "completion": "blue", "label": True}


@pytest.mark.parametrize(
    ("format", "value", "name", "kind"),
    [
        ("hh-rlhf", TRANSCRIPTS, "hh-rlhf", "person"),
        ("summarize-from-feedback", SUMMARY, "summarize-from-feedback w7", "person"),
        ("label-studio", LABEL_STUDIO, "label-studio 4", "person"),
        ("argilla", ARGILLA, "argilla u1", "person"),
        ("open-assistant", TREE, "open-assistant", "person"),
        ("trl", TRL, "trl", None),
        ("trl-unpaired", UNPAIRED, "trl", None),
        ("prompts", row(labeler="ann"), "ann", None),
        ("prompts", row(labeler="gpt-4", judge_kind="model"), "gpt-4", "model"),
        ("prompts", row(labeler="rule", judge_kind="script"), "rule", "script"),
        ("prompts", row(labeler="crowd", judge_kind="unknown"), "crowd", "unknown"),
    ],
)
def test_a_format_or_a_row_says_what_its_judge_is(tmp_path, format, value, name, kind):
    tally = bring(tmp_path, value, format=format)

    assert kinds() == {name: (kind or "unknown", kind is not None)}
    assert (tally.judge_kinds, tally.other_kinds) == ({kind or "unknown": 1}, 0)


def test_each_of_several_judges_has_its_own_kind(tmp_path):
    judgments = [
        {"labeler": "ann", "ranks": [1, 2], "judge_kind": "person"},
        {"labeler": "gpt-4", "ranks": [2, 1], "judge_kind": "model"},
        {"labeler": "ben", "ranks": [1, 1]},
    ]
    tally = bring(tmp_path, {"prompt": "Sky?", "answers": ["a", "b"], "judgments": judgments})

    assert kinds() == {
        "ann": ("person", True),
        "gpt-4": ("model", True),
        "ben": ("unknown", False),
    }
    assert tally.judge_kinds == {"person": 1, "model": 1, "unknown": 1}


def test_what_was_said_first_stays_and_what_contradicts_it_is_counted(tmp_path):
    first = bring(tmp_path, row(1, labeler="gpt-4"), row(2, labeler="gpt-4", judge_kind="model"))
    second = bring(tmp_path, row(3, labeler="gpt-4"), row(4, labeler="gpt-4", judge_kind="person"))

    assert (first.judge_kinds, first.other_kinds) == ({"unknown": 1, "model": 1}, 0)
    assert (second.judge_kinds, second.other_kinds) == ({"model": 2}, 1)
    assert kinds() == {"gpt-4": ("model", True)}


def test_a_row_that_was_imported_before_its_kind_was_said_is_known_again(tmp_path):
    """Its digest is what it was before kinds were read."""
    project = make_project()
    bring(tmp_path, row(labeler="gpt-4"), project=project)
    again = bring(tmp_path, row(labeler="gpt-4", judge_kind="model"), project=project)

    assert (again.known, again.rankings, Ranking.objects.count()) == (1, 0, 1)
    assert ImportedRow.objects.count() == 1


def test_another_kind_is_a_bad_row(tmp_path):
    with pytest.raises(imports.BadFile, match="person, model, script, unknown"):
        bring(tmp_path, row(labeler="it", judge_kind="robot"))


def test_an_import_never_changes_a_judge_with_an_account(tmp_path):
    person = make_person()
    bring(tmp_path, row(labeler=person.email, judge_kind="model"))

    assert imported_judge(person.email) != person.uuid
    assert Judge.objects.get(account=person).kind == "person"


def test_the_check_says_how_many_rankings_each_kind_of_judge_made(tmp_path, client_for, carol):
    lines = [
        row(1, labeler="gpt-4", judge_kind="model"),
        row(2, labeler="gpt-4", judge_kind="person"),
        row(3, labeler="ann"),
    ]
    _address, page = looked_at(client_for(carol), "\n".join(json.dumps(line) for line in lines))

    text = one_line(page)
    assert "Rankings by kind of judge: 2 by models, 1 by judges of unknown kind." in text
    assert "1 ranking is by a judge that was said to be of another kind before" in text


def test_the_api_says_it_too(client_for, carol, project):
    lines = [row(1, labeler="gpt-4", judge_kind="model"), row(2, labeler="ann")]
    hands = Hands(client_for(carol), project.slug)

    added = hands.post("prompts", {"prompts": lines}).json()
    assert added["judge_kinds"] == {"model": 1, "unknown": 1}
    assert (added["rankings"], added["other_kinds"]) == (2, 0)
    refused = hands.post("prompts", {"prompts": [row(3, judge_kind="robot")]}).json()
    assert "person, model, script, unknown" in refused["refused"][0]["detail"]
