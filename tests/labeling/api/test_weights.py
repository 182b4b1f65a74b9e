"""Labeler weights through the API: stored once, read again, used by jobs and downloads."""

import hashlib

import pytest

from labeling.exports import freeze
from modelops import rows, weights
from modelops.models import Dataset, Job, LabelerWeights
from tests.factories import make_model, make_person, make_project, make_ranking, make_task
from tests.labeling.api.hands import Hands, fields_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(project, alice, bob) -> Dataset:
    task = make_task(project, overlap=2)
    make_ranking(task, alice)
    task.refresh_from_db()
    make_ranking(task, bob, (2, 1, 3, 4))
    return freeze.freeze_now(None, project)


@pytest.fixture
def researcher(hands_of, project):
    return hands_of(make_person(project, "researcher", "rita"))


@pytest.fixture
def admin(hands_of, carol):
    return hands_of(carol)


def test_a_researcher_stores_weights_and_reads_them_again(researcher, dataset):
    at = f"datasets/{dataset.pk}/weights"
    response = researcher.post(at, {"weights": {"1": 0.85}, "note": "fitted", "of": dataset.digest})

    body = response.json()
    assert response.status_code == 201
    assert body["digest"] == rows.digest({"dataset": dataset.digest, "weights": body["weights"]})
    assert (body["weights"], body["missing"], body["note"]) == ({"1": 0.85}, 1, "fitted")
    assert researcher.get(f"weights/{body['id']}").json() == body
    assert researcher.get(at).json()["results"] == [body]

    again = researcher.post(at, {"weights": {"1": 0.85}})
    assert (again.status_code, again.json()) == (200, body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"weights": {"2": 1.0}}, "weights"),
        ({"weights": {"0": 0.123}}, "weights"),
        ({"weights": {"0": 1.0}, "of": "0" * 64}, "of"),
        ({"weights": {"0": -1}}, "weights"),
        ({"note": "nothing"}, "weights"),
    ],
)
def test_wrong_weights_are_refused_at_their_field(researcher, dataset, body, field):
    response = researcher.post(f"datasets/{dataset.pk}/weights", body)

    assert response.status_code == 400
    assert any(name.startswith(field) for name in fields_of(response))
    assert not LabelerWeights.objects.exists()


def test_another_dataset_or_project_has_none_of_them(
    client_for, researcher, project, dataset, alice
):
    stored = researcher.post(f"datasets/{dataset.pk}/weights", {"weights": {"0": 0.5}}).json()
    make_ranking(make_task(project), alice)
    other = freeze.freeze_now(None, project)
    theirs = make_project()
    boss = Hands(client_for(make_person(theirs, "admin")), theirs.slug)

    assert researcher.get(f"datasets/{other.pk}/weights").json()["results"] == []
    assert boss.get(f"weights/{stored['id']}").status_code == 404
    assert boss.get(f"datasets/{dataset.pk}/weights").status_code == 404
    assert boss.post(f"datasets/{dataset.pk}/weights", {"weights": {"0": 1}}).status_code == 404


@pytest.mark.parametrize(("role", "status"), [("lead", 403), ("labeler", 403), (None, 404)])
def test_only_admins_and_researchers_see_them(hands_of, project, dataset, role, status):
    stored, _new = weights.store(None, dataset, {"0": 0.5})
    person = hands_of(make_person(project if role else None, role or "labeler", "someone"))
    at = f"datasets/{dataset.pk}/weights"

    assert person.get(at).status_code == status
    assert person.get(f"weights/{stored.pk}").status_code == status
    assert person.post(at, {"weights": {"1": 1}}).status_code == status


def test_a_job_and_a_download_take_them(admin, project, dataset):
    make_model(project, folder="models/base", sha256="0" * 64)
    stored = admin.post(f"datasets/{dataset.pk}/weights", {"weights": {"0": 0.5}}).json()

    job = admin.post("jobs", {"kind": "reward", "recipe": {"weights": stored["digest"][:8]}})
    assert job.status_code == 202
    assert Job.objects.get(pk=job.json()["id"]).recipe["weights"] == stored["digest"]
    unknown = admin.post("jobs", {"kind": "reward", "recipe": {"weights": "beef"}})
    assert fields_of(unknown) == {"recipe.weights"}
    without = admin.post("jobs", {"kind": "dpo", "recipe": {"weights": stored["digest"]}})
    assert fields_of(without) == {"recipe.weights"}

    at = f"datasets/{dataset.pk}/download"
    file = admin.get(at, format="listwise", file="jsonl", weights=stored["digest"])
    lines = b"".join(file.streaming_content).decode()
    assert sorted(lines.count(f'"weight":{weight}') for weight in ("0.5", "1.0")) == [1, 1]
    assert admin.get(at, format="rows", weights=stored["digest"]).status_code == 400
    whole = admin.get(at, format="rows", file="jsonl")
    rows_of_it = b"".join(whole.streaming_content)
    assert hashlib.sha256(rows_of_it).hexdigest() == dataset.digest
