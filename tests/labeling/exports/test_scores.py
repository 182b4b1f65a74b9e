"""Scores and spans in frozen rows: their keys, the criteria beside them, and the id of both."""

import hashlib
import io
import json
import zipfile

import pytest
from pyarrow import parquet

from labeling.exports import dataset_card, freeze
from labeling.judging import criteria
from labeling.models import Criterion, Ranking
from modelops import datasets, rows
from tests.factories import make_model, make_prompt, make_ranking, make_task
from tests.labeling.api.hands import Hands

pytestmark = pytest.mark.django_db

STEPS = [{"value": 1, "label": "poor"}, {"value": 5, "label": "good"}]
SCORES = {
    "helpfulness": {"A": 5, "C": 1},
    "true": {"B": False},
    "tone": {"A": "kind", "B": "cold", "C": "cold"},
    "why": "Because.",
}
TEXTS = {"A": "so 👩‍👩‍👧", "B": "e\u0301", "C": "zzz"}


@pytest.fixture
def said(client_for, alice, carol, project):
    """A ranking that says something by a criterion of each kind; answers sort as their letters."""
    for key, kind, labels in (
        ("true", "yes-no", []),
        ("tone", "choice", ["kind", "cold"]),
        ("helpfulness", "scale", STEPS),
        ("unused", "yes-no", []),
    ):
        criteria.create(
            carol, project, key=key, kind=kind, scope="answer", question="?", labels=labels
        )
    criteria.create(carol, project, key="why", kind="text", scope="ranking", question="Why?")
    model, prompt = make_model(project, name="writer"), make_prompt(project, "Why?")
    make_task(project, texts=TEXTS.values(), model=model, prompt=prompt)
    hands = Hands(client_for(alice))
    letter_of = {answer["text"]: answer["letter"] for answer in hands.claim()["answers"]}
    shown = {letter: letter_of[text] for letter, text in TEXTS.items()}
    scores = {
        name: {shown[letter]: one for letter, one in value.items()}
        if isinstance(value, dict)
        else value
        for name, value in SCORES.items()
    }
    spans = [
        {"answer": shown[letter], "label": label, "start": start, "end": end}
        for letter, label, start, end in (
            ("B", "accent", 1, 2),
            ("A", "family", 3, 8),
            ("A", "family", 0, 8),
            ("A", "all", 0, 8),
        )
    ]
    order = ">".join(shown.values())
    return hands.rank(order=order, scores=scores, spans=spans, ratings={shown["A"]: 7})


# In the order of the texts "e\u0301", "so 👩‍👩‍👧", "zzz": B, A, C.
FROZEN = {
    "helpfulness": [None, 5, 1],
    "tone": ["cold", "kind", "cold"],
    "true": [False, None, None],
    "why": "Because.",
}


def frozen(project):
    dataset = freeze.freeze_now(None, project)
    return dataset, list(rows.read(datasets.path(dataset)))


def test_a_row_holds_scores_and_spans_in_the_answers_order(said, project):
    _dataset, [row] = frozen(project)
    [judgment] = row["judgments"]

    assert [answer["text"] for answer in row["answers"]] == [TEXTS["B"], TEXTS["A"], TEXTS["C"]]
    assert judgment["scores"] == FROZEN
    assert judgment["ratings"] == [None, 7, None], "the preset's are where they were"
    assert judgment["spans"] == [
        {"answer": 0, "label": "accent", "start": 1, "end": 2},
        {"answer": 1, "label": "all", "start": 0, "end": 8},
        {"answer": 1, "label": "family", "start": 0, "end": 8},
        {"answer": 1, "label": "family", "start": 3, "end": 8},
    ]
    text = row["answers"][1]["text"]
    assert text[3:8] == "👩‍👩‍👧"


SCHEMA = {
    "criteria": [
        {"key": key, "kind": kind, "labels": labels, "required": False, "revision": 1}
        | {"scope": "ranking" if key == "why" else "answer"}
        for key, kind, labels in (
            ("helpfulness", "scale", STEPS),
            ("tone", "choice", ["kind", "cold"]),
            ("true", "yes-no", []),
            ("why", "text", []),
        )
    ]
}


def test_the_criteria_are_hashed_ahead_of_the_rows(said, project):
    dataset, _rows = frozen(project)
    folder = datasets.path(dataset)
    schema = (folder / "schema.json").read_bytes()

    assert json.loads(schema) == SCHEMA
    assert schema == rows.canonical(SCHEMA).encode() + b"\n"
    content = schema + (folder / "rows.jsonl").read_bytes()
    assert dataset.digest == hashlib.sha256(content).hexdigest()
    assert dataset.digest == DIGEST
    datasets.verify(dataset)


# The sha256 of the two lines, as written down by hand.
DIGEST = "83ec758de9100cace9219c2406da8e01bfdfe18442250e95481760c536219970"


@pytest.mark.parametrize("change", ["another", "none"])
def test_a_schema_that_was_changed_is_noticed(said, project, change):
    dataset, _rows = frozen(project)
    file = datasets.path(dataset) / "schema.json"
    if change == "another":
        file.write_text(file.read_text().replace("false", "true"))
    else:
        file.unlink()

    with pytest.raises(datasets.Withheld):
        datasets.verify(dataset)


def test_a_dataset_without_scores_has_no_schema(said, project):
    """Though its project has criteria: its id is that of its rows."""
    Ranking.objects.all().delete()
    Criterion.objects.filter(key="why").update(retired_at=None)
    make_ranking(make_task(project), project.memberships.first().user)
    dataset, [row] = frozen(project)
    folder = datasets.path(dataset)

    assert not (folder / "schema.json").exists()
    assert not {"scores", "spans"} & set(row["judgments"][0])
    content = (folder / "rows.jsonl").read_bytes()
    assert dataset.digest == hashlib.sha256(content).hexdigest()


def test_two_revisions_are_two_criteria(said, project, carol, client_for, bob):
    why = Criterion.objects.get(key="why")
    criteria.change(carol, why, question="Why so?", required=True)
    make_task(project, texts=TEXTS.values())
    Hands(client_for(bob)).rank(order="A>B>C", scores={"why@2": "No."})
    dataset, frozen_rows = frozen(project)
    said_why = [
        {name: value for name, value in judgment["scores"].items() if name.startswith("why")}
        for row in frozen_rows
        for judgment in row["judgments"]
    ]

    assert sorted(map(str, said_why)) == ["{'why': 'Because.'}", "{'why@2': 'No.'}"]
    revisions = [
        (one["revision"], one["required"])
        for one in datasets.criteria(dataset)
        if one["key"] == "why"
    ]
    assert revisions == [(1, False), (2, True)]


def test_parquet_holds_scores_as_json_and_spans_as_they_are(said, project):
    dataset, [row] = frozen(project)
    file = datasets.path(dataset) / f"{row['split']}.parquet"
    [judgment] = parquet.read_table(file).to_pylist()[0]["judgments"]

    assert json.loads(judgment["scores"]) == FROZEN
    assert judgment["spans"] == row["judgments"][0]["spans"]


def test_the_folder_has_the_schema_and_the_same_rows(said, project):
    dataset, [row] = frozen(project)
    file = io.BytesIO()
    dataset_card.write_folder(dataset, file)
    with zipfile.ZipFile(file) as folder:
        assert json.loads(folder.read("schema.json")) == SCHEMA
        content = io.BytesIO(folder.read(f"rows/{row['split']}.parquet"))
        [judgment] = parquet.read_table(content).to_pylist()[0]["judgments"]
        card = folder.read("README.md").decode()
    assert json.loads(judgment["scores"]) == FROZEN
    assert "| helpfulness | 2 |" in card
    assert "| spans | 4 |" in card


def test_scores_and_spans_are_counted_and_shown(said, project, client_for, carol):
    dataset, _rows = frozen(project)

    assert dataset.counts["scores"] == {"helpfulness": 2, "tone": 3, "true": 1, "why": 1}
    assert dataset.counts["spans"] == 4
    page = client_for(carol).get(f"/p/demo/datasets/{dataset.pk}/").content.decode()
    assert "Scores: helpfulness" in page
    body = Hands(client_for(carol)).get(f"datasets/{dataset.pk}").json()
    assert {"criteria": body["criteria"]} == SCHEMA
