"""Datasets through the API: frozen, previewed, taken home in ranges, deleted; and whom their
numbers stand for.
"""

import hashlib

import pytest

from labeling.exports import downloads, freeze, serving
from labeling.models import Judge, Ranking, imported_judge
from modelops import datasets, jobs
from modelops.models import Dataset, Job
from people.models import AuditEvent
from tests.factories import make_job, make_model, make_person, make_ranking, make_task
from tests.labeling.api.hands import code_of, fields_of
from workers import dataset_jobs

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(project, alice) -> Dataset:
    make_ranking(make_task(project), alice)
    make_ranking(make_task(project), alice, ranks=[1, 2, 2, 3])
    return freeze.freeze_now(None, project, note="round 1", without="999")


@pytest.fixture
def researcher(hands_of, project):
    return hands_of(make_person(project, "researcher", "rita"))


@pytest.fixture
def large(monkeypatch):
    monkeypatch.setattr(downloads, "SMALL", 0)
    monkeypatch.setattr(serving, "LARGE", 0)


def work(job: Job) -> None:
    claimed = jobs.claim(job.pk, {job.kind})
    with jobs.running(claimed):
        dataset_jobs.run(claimed)


def bytes_of(response) -> bytes:
    return b"".join(response.streaming_content)


def test_a_freeze_is_a_job_whose_result_names_the_dataset(researcher, project, alice):
    make_ranking(make_task(project), alice)
    response = researcher.post("datasets", {"ties": False, "without": [], "note": "mine"})
    work(job := Job.objects.get(kind="freeze"))
    told = researcher.get(f"jobs/{job.pk}").json()

    assert response.status_code == 202
    assert (job.recipe["ties"], job.recipe["note"]) == (False, "mine")
    assert told["state"] == "done"
    assert researcher.get(f"datasets/{told['dataset_made']}").json()["counts"]["pairs"] == 6


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"kind": "songs"}, "kind"),
        ({"agreement": 2}, "agreement"),
        ({"since": "soon"}, "since"),
        ({"models": ["nobody"]}, "models"),
        ({"without": ["999"]}, "without"),
    ],
)
def test_a_choice_that_is_none_is_told_at_its_field(researcher, project, said, field):
    response = researcher.post("datasets", said)

    assert (response.status_code, fields_of(response)) == (400, {field})


def test_a_preview_counts_and_freezes_nothing(researcher, dataset):
    told = researcher.post("datasets/preview", {"kind": "judgments"}).json()

    assert (told["rows"], told["judgments"], told["pairs"], told["sampled"]) == (2, 2, 11, False)
    assert told["ties"] == pytest.approx(1 / 12)
    assert not Job.objects.filter(kind="freeze", state="queued").exists()


def test_a_dataset_tells_its_formats_and_who_learned_from_it(researcher, dataset, project):
    made = make_model(project, dataset=dataset)
    told = researcher.get(f"datasets/{dataset.pk}").json()
    formats = {one["name"]: one for one in told["formats"]}

    assert told["models"] == [made.pk]
    assert "without" not in told["query"]
    assert formats["trl"]["loses_ties"]
    assert not formats["listwise"]["loses_ties"]
    assert "load_dataset" in told["load"]


def test_the_rows_come_as_they_were_frozen_and_in_ranges(researcher, dataset):
    path = f"datasets/{dataset.pk}/download"
    whole = researcher.get(path, format="rows")
    content, tag = bytes_of(whole), whole["ETag"]
    at = f"/api/v1/projects/demo/{path}?format=rows"
    part = researcher.client.get(at, headers={"Range": "bytes=10-", "If-Range": tag})

    assert hashlib.sha256(content).hexdigest() == dataset.digest
    assert part.status_code == 206
    assert bytes_of(part) == content[10:]
    assert researcher.client.get(at, headers={"If-None-Match": tag}).status_code == 304


def test_a_file_that_there_is_not_is_told_at_its_field(researcher, dataset):
    response = researcher.get(f"datasets/{dataset.pk}/download", format="prompt-only", file="csv")

    assert (response.status_code, fields_of(response)) == (400, {"format"})


def test_a_large_file_is_made_by_a_job_and_waited_for(researcher, dataset, large):
    at, asked = f"datasets/{dataset.pk}", {"format": "trl", "file": "jsonl.gz"}
    assert researcher.get(f"{at}/download", **asked).status_code == 409

    response = researcher.post(f"{at}/render", asked)
    job = Job.objects.get(kind="render")
    assert (response.status_code, response.json()["ready"], response.json()["job"]["id"]) == (
        202,
        False,
        job.pk,
    )
    assert researcher.post(f"{at}/render", asked).json()["job"]["id"] == job.pk
    waiting = researcher.get(f"{at}/download", **asked)
    assert (waiting.status_code, waiting["Retry-After"]) == (202, "5")

    work(job)
    assert researcher.post(f"{at}/render", asked).json() == {"ready": True, "job": None}
    assert bytes_of(researcher.get(f"{at}/download", **asked))[:2] == b"\x1f\x8b"


def test_only_two_large_files_go_at_once(researcher, dataset, large):
    at = f"datasets/{dataset.pk}"
    researcher.post(f"{at}/render", {"format": "rows"})
    work(Job.objects.get(kind="render"))
    held = [researcher.get(f"{at}/download", format="rows") for _ in range(2)]
    busy = researcher.get(f"{at}/download", format="rows")

    assert [one.status_code for one in held] == [200, 200]
    assert (busy.status_code, busy["Retry-After"]) == (503, "61")
    for one in held:
        one.close()


def test_what_was_withdrawn_is_gone_with_its_reason(researcher, dataset):
    datasets.withdraw(None, dataset, "Somebody's judgments were erased.")
    response = researcher.get(f"datasets/{dataset.pk}/download", format="rows")

    assert (response.status_code, code_of(response)) == (410, "withheld")
    assert "were erased" in response.json()["detail"]


def test_what_was_withdrawn_names_what_replaces_it(researcher, dataset, project, alice):
    make_ranking(make_task(project), alice)
    successor = freeze.freeze_now(None, project)
    datasets.withdraw(None, dataset, "Somebody's judgments were erased.")
    Dataset.objects.filter(pk=dataset.pk).update(successor=successor)

    for method, path in ((researcher.get, "download"), (researcher.post, "render")):
        problem = method(f"datasets/{dataset.pk}/{path}").json()
        assert (problem["status"], problem["successor"]) == (410, successor.pk)
        assert problem["detail"].endswith(f"erased. Dataset {successor.digest} replaces it.")


def changed(hands, dataset, body: dict, tag: str = "*"):
    return hands.client.patch(
        f"/api/v1/projects/demo/datasets/{dataset.pk}",
        body,
        content_type="application/json",
        headers={"If-Match": tag},
    )


def test_note_and_licence_change_and_nothing_else(researcher, dataset):
    before = researcher.get(f"datasets/{dataset.pk}")
    response = changed(researcher, dataset, {"licence": "mit"}, before["ETag"])

    assert response.status_code == 200, response.content
    assert response.json() == before.json() | {"licence": "mit"}
    assert changed(researcher, dataset, {"note": ""}).json()["note"] == ""
    event = AuditEvent.objects.filter(verb="relabel dataset").earliest("pk")
    assert event.data["licence"] == {"from": "", "to": "mit"}
    assert event.actor.name == "Rita"


@pytest.mark.parametrize(
    ("body", "status"),
    [({"digest": "0" * 64}, 400), ({"note": "a" * 201}, 400), ({"counts": {}}, 400)],
)
def test_what_does_not_change_is_refused(researcher, dataset, body, status):
    assert changed(researcher, dataset, body).status_code == status


def test_a_change_over_another_one_is_refused(researcher, dataset):
    tag = researcher.get(f"datasets/{dataset.pk}")["ETag"]

    assert changed(researcher, dataset, {"note": "a"}, tag).status_code == 200
    assert changed(researcher, dataset, {"note": "b"}, tag).status_code == 412


def test_a_labeler_changes_no_dataset(labeler, dataset):
    assert changed(labeler, dataset, {"note": "mine"}).status_code == 403


def test_a_format_says_what_it_loses(researcher, dataset):
    formats = {
        one["name"]: {loss["name"]: loss["in_metadata"] for loss in one["loses"]}
        for one in researcher.get(f"datasets/{dataset.pk}").json()["formats"]
    }

    assert formats["rows"] == {"source": False}
    assert formats["trl"]["models"]
    assert not formats["trl"]["ties"]


def test_a_dataset_that_taught_stays(admin, dataset, project):
    make_model(project, dataset=dataset, job=make_job(project, "reward"))
    at = f"/api/v1/projects/demo/datasets/{dataset.pk}"
    refused = admin.client.delete(at)
    assert (refused.status_code, code_of(refused)) == (409, "in-use")

    project.model_versions.filter(dataset=dataset).delete()
    assert admin.client.delete(at).status_code == 204
    assert not Dataset.objects.exists()


def test_the_key_is_for_admins_and_its_taking_is_recorded(admin, researcher, dataset, alice):
    told = admin.post(f"datasets/{dataset.pk}/labelers", key="one")
    again = admin.post(f"datasets/{dataset.pk}/labelers", key="one")

    assert told.json()["labelers"] == [{"number": 0, "name": "Alice", "email": alice.email}]
    assert again.json() == {}
    assert researcher.post(f"datasets/{dataset.pk}/labelers").status_code == 403
    assert AuditEvent.objects.filter(verb="export labeler key").count() == 1


def test_the_key_names_imported_judges_as_their_file_did(admin, project, alice):
    judge = imported_judge("gpt-4")
    Judge.objects.create(uuid=judge, name="gpt-4", kind="model", stated=True)
    ranking = make_ranking(make_task(project), alice)
    Ranking.objects.filter(pk=ranking.pk).update(
        kind="imported", labeler=None, assignment=None, judge=judge
    )
    frozen = freeze.freeze_now(None, project)
    key = admin.post(f"datasets/{frozen.pk}/labelers").json()["labelers"]

    assert key == [{"number": 0, "name": "gpt-4", "email": ""}]


def test_labelers_see_no_datasets(labeler, dataset):
    for path in ("datasets", f"datasets/{dataset.pk}", f"datasets/{dataset.pk}/download"):
        assert labeler.get(path).status_code == 403


def test_a_list_costs_the_same_however_long(researcher, project, django_assert_max_num_queries):
    for number in range(20):
        Dataset.objects.create(
            project=project, kind="text", digest=f"{number:064}", folder="f", counts={"rows": 1}
        )
    with django_assert_max_num_queries(5):
        assert len(researcher.get("datasets", kind="text").json()["results"]) == 20
