"""A freeze says of what kinds its judges are, takes only some of them if asked to, and compares
people with people.
"""

import io
import json
import zipfile

import pytest
from django.core.management import call_command
from pyarrow import parquet

from labeling import erasure
from labeling.exports import dataset_card, freeze, preview
from labeling.models import DatasetRanking, Judge, Ranking
from modelops import datasets, jobs, recipes
from modelops.models import Dataset, Job
from modelops.recipes import FreezeRecipe, InvalidRecipe
from people import accounts
from tests.factories import (
    make_imported_ranking,
    make_judge,
    make_person,
    make_ranking,
    make_task,
)
from tests.labeling.api.hands import Hands
from tests.pages import one_line

pytestmark = pytest.mark.django_db
SAME, OTHER = (1, 2, 3, 4), (4, 3, 2, 1)
KINDS = {"person": 3, "model": 1, "script": 1, "unknown": 2}


@pytest.fixture
def judged(project, alice, bob):
    """One task: people see it one way, the model, the script and the unknown the other way."""
    task = make_task(project)
    make_ranking(task, alice, SAME)
    make_ranking(task, bob, SAME)
    make_ranking(task, make_person(project, "labeler", "robot", simulated=True), OTHER)
    make_imported_ranking(task, make_judge("person", "ann"), SAME)
    make_imported_ranking(task, make_judge("model", "gpt-4"), OTHER)
    make_imported_ranking(task, make_judge("unknown", "it"), OTHER)
    make_imported_ranking(task, make_judge("unknown", "nobody said", stated=False), OTHER)
    return task


def frozen(dataset):
    lines = (datasets.path(dataset) / "rows.jsonl").read_text().splitlines()
    return [judgment for line in lines for judgment in json.loads(line)["judgments"]]


def test_only_an_imported_judge_that_is_said_to_be_no_person_is_marked(project, judged, carol):
    judgments = frozen(freeze.freeze_now(carol, project))

    marked = [(one["kind"], one.get("judge_kind")) for one in judgments]
    assert sorted(marked, key=str) == sorted(
        [
            ("labeler", None),
            ("labeler", None),
            ("simulated", None),
            ("imported", None),
            ("imported", None),
            ("imported", "model"),
            ("imported", "unknown"),
        ],
        key=str,
    )


def test_rows_of_judges_of_whom_nothing_is_said_keep_their_id(project, carol):
    """Their lines hold no key that the version before did not write."""
    task = make_task(project)
    judge = make_judge("unknown", "trl", stated=False)
    make_imported_ranking(task, judge)
    before = freeze.freeze_now(carol, project)
    Judge.objects.filter(pk=judge.pk).update(kind="person", stated=True)
    as_person = freeze.freeze_now(carol, project)
    Judge.objects.filter(pk=judge.pk).update(kind="model")
    as_model = freeze.freeze_now(carol, project)

    assert set(frozen(before)[0]) == {
        "labeler",
        "kind",
        "outcome",
        "ranks",
        "ratings",
        "flags",
        "strength",
        "seconds",
        "weight",
    }
    assert as_person == before != as_model
    assert frozen(as_model)[0]["judge_kind"] == "model"


def test_the_counts_say_who_judged_and_agreement_is_that_of_people(project, judged, carol):
    counts = freeze.freeze_now(carol, project).counts

    assert counts["judge_kinds"] == KINDS
    assert counts["other_judges"] == 2
    assert counts["agreement"] == 1
    assert counts["judges"] == 7


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([], KINDS),
        (["person"], {"person": 3}),
        (["model"], {"model": 1}),
        (["script"], {"script": 1}),
        (["unknown"], {"unknown": 2}),
        (["model", "script"], {"model": 1, "script": 1}),
        (["person", "model", "script", "unknown"], KINDS),
    ],
)
def test_a_freeze_takes_the_kinds_that_it_is_asked_for(project, judged, carol, kinds, expected):
    chosen = "\n".join(kinds)
    dataset = freeze.freeze_now(carol, project, judges=chosen)

    assert dataset.counts["judge_kinds"] == expected
    assert dataset.counts["judgments"] == sum(expected.values())
    shown = preview.preview(project, FreezeRecipe(judges=chosen), names=False)
    assert dict(shown.statistics.judge_kinds) == expected
    assert dataset.query.get("judges", "") == chosen


def test_all_kinds_make_the_dataset_that_no_choice_makes(project, judged, carol):
    every = freeze.freeze_now(carol, project, judges="person\nmodel\nscript\nunknown")

    assert every.digest == freeze.freeze_now(carol, project).digest


def test_another_kind_is_refused(project):
    with pytest.raises(InvalidRecipe, match="kinds of judges, one a line"):
        recipes.read(Job.Kind.FREEZE, {"judges": "person\nrobot"})


def test_kinds_and_adjudications_are_not_chosen_together(project, judged, carol):
    with pytest.raises(jobs.JobFailed, match="leads adjudicate"):
        freeze.freeze_now(carol, project, judges="person", adjudicated=True)


def test_what_no_judge_of_a_kind_judged_says_so(project, alice, carol):
    make_ranking(make_task(project), alice)

    with pytest.raises(jobs.JobFailed, match="choose less narrowly"):
        freeze.freeze_now(carol, project, judges="model")


def test_the_page_and_the_api_choose_kinds(project, judged, client_for, carol):
    page = client_for(carol).get("/p/demo/datasets/freeze/")
    assert "3 by people, 1 by models, 1 by scripts, 2 by judges of unknown kind" in one_line(page)
    hands = Hands(client_for(carol), project.slug)
    shown = hands.post("datasets/preview", {"judges": ["person", "model"]}).json()
    assert (shown["judge_kinds"], shown["agreement"]) == ({"person": 3, "model": 1}, 1)
    asked = hands.post("datasets", {"judges": ["person", "model"]})
    assert asked.status_code == 202
    assert Job.objects.get(kind="freeze").recipe["judges"] == "person\nmodel"
    refused = hands.post("datasets", {"judges": ["robot"]})
    assert refused.status_code == 400


def test_the_dataset_s_page_and_card_say_who_judged(project, judged, client_for, carol):
    dataset = freeze.freeze_now(carol, project)
    page = one_line(client_for(carol).get(f"/p/demo/datasets/{dataset.pk}/"))
    folder = io.BytesIO()
    dataset_card.write_folder(dataset, folder)
    with zipfile.ZipFile(folder) as packed:
        card = packed.read("README.md").decode()
        rows = parquet.read_table(io.BytesIO(packed.read("rows/train.parquet"))).to_pylist()

    assert "3 by people, 1 by models, 1 by scripts, 2 by judges of unknown kind" in page
    table = card.partition("## Judgments by kind of judge")[2].partition("##")[0]
    assert "| person | 3 |" in table
    assert "| model | 1 |" in table
    kinds = [judgment["judge_kind"] for judgment in rows[0]["judgments"]]
    assert sorted(kinds, key=str) == [None] * 5 + ["model", "unknown"]


def test_parquet_has_the_column_only_where_a_row_needs_it(project, alice, carol):
    make_ranking(make_task(project), alice)
    dataset = freeze.freeze_now(carol, project)

    schema = parquet.read_schema(datasets.path(dataset) / "train.parquet")
    assert "judge_kind" not in str(schema)


def test_an_erasure_freezes_anew_what_others_judged_of_the_same_kinds(
    project, judged, alice, carol
):
    """A person's judgments go, whatever kinds the dataset took; their judge keeps no name."""
    dataset = freeze.freeze_now(carol, project, judges="person\nmodel")
    erasure.erase(carol, project, alice, "asked")
    successor = freeze.freeze(Job.objects.get(kind="freeze", state="queued"))

    assert successor.counts["judge_kinds"] == {"person": 2, "model": 1}
    assert not Ranking.objects.filter(judge=alice.uuid).exists()
    assert Judge.objects.get(account=alice).name == ""
    dataset.refresh_from_db()
    assert dataset.successor == successor
    held = DatasetRanking.objects.filter(dataset=successor)
    assert held.filter(ranking__judge=alice.uuid).count() == 0


def test_a_judge_keeps_its_pseudonym_when_its_kind_is_said(project, judged, client_for, carol):
    def pseudonyms():
        results = Hands(client_for(carol), project.slug).get("rankings").json()["results"]
        return {one["id"]: one["judge"] for one in results}

    before = pseudonyms()
    Judge.objects.filter(account=None).update(kind="model", stated=True)
    accounts.change(carol, Judge.objects.exclude(account=None).first().account, simulated=True)

    assert pseudonyms() == before
    assert len(set(before.values())) == 7


def test_the_command_takes_kinds(project, judged, capsys):
    call_command("freeze", project=project.slug, judges=["person", "model"])
    dataset = Dataset.objects.get()

    assert capsys.readouterr().out.strip() == dataset.digest
    assert dataset.counts["judge_kinds"] == {"person": 3, "model": 1}
