"""A file of a dataset of the Hub becomes an upload, which is checked like any other."""

import json

import pytest

from labeling.imports import pull
from labeling.models import Prompt
from modelops import jobs, progress
from modelops.models import Job
from tests.modelops.hub_server import COMMIT
from tests.worker import work

pytestmark = pytest.mark.django_db
REPO = "Anthropic/questions"
LINES = "\n".join(json.dumps({"prompt": f"Question {n}?"}) for n in range(40)).encode()
FILES = {"README.md": b"Hello", "data/train.jsonl": LINES}


@pytest.fixture
def questions(hub):
    hub.add("dataset", REPO, FILES)
    return hub


def pull_it(project, actor=None, **recipe) -> Job:
    return work(jobs.request(actor, project, Job.Kind.PULL_DATA, {"repo": REPO} | recipe))


def test_the_only_file_is_pulled_checked_and_imported(project, client_for, carol, questions):
    job = pull_it(project, carol)

    assert job.state == "done", job.error
    check = Job.objects.get(kind="import")
    assert job.result == {
        "repo": REPO,
        "commit": COMMIT,
        "file": "data/train.jsonl",
        "bytes": len(LINES),
        "import_job": check.pk,
    }
    assert (check.requested_by, check.recipe["filename"]) == (carol, "train.jsonl")
    assert not Prompt.objects.exists()
    assert work(check).result["check"]["prompts"] > 0

    page = client_for(carol).get(f"/p/demo/jobs/{job.pk}/").content.decode()
    assert f"/p/demo/prompts/upload/{check.pk}/" in page
    confirm = f"/api/v1/projects/demo/imports/{check.pk}/confirm"
    client_for(carol).post(confirm, {}, content_type="application/json")
    work(Job.objects.filter(kind="import").latest("pk"))
    assert Prompt.objects.filter(published=True).count() == 40


def test_a_file_is_named_where_there_are_several(project, questions):
    more = {"data/test.jsonl": LINES, "more.csv.gz": b"x", "people.xlsx": b"x"}
    questions.repos["dataset", REPO]["files"] |= more

    assert pull_it(project).error == (
        f"{REPO} has several files; name one: data/train.jsonl, data/test.jsonl, more.csv.gz, "
        "people.xlsx."
    )
    assert pull_it(project, file="data/test.jsonl").result["file"] == "data/test.jsonl"
    assert pull_it(project, file="data/dev.jsonl").error.startswith(
        f"{REPO} has no file data/dev.jsonl. It has: "
    )


def test_a_pull_that_is_done_again_asks_for_one_check(project, questions):
    job = pull_it(project)
    pull.run(Job.objects.get(pk=job.pk))

    assert Job.objects.filter(kind="import").count() == 1


def test_a_dataset_without_a_file_that_can_be_read_says_so(project, questions):
    questions.repos["dataset", REPO]["files"] = {"README.md": b"Hello"}

    assert pull_it(project).error == f"{REPO} has no file that can be imported."


def test_a_pull_that_failed_goes_on_where_it_was(project, questions, settings, monkeypatch):
    job = jobs.request(None, project, Job.Kind.PULL_DATA, {"repo": REPO})
    watch = progress.Transfer.watch

    def full(transfer, count):
        if transfer.done > 500:
            raise OSError("No space left on device")
        watch(transfer, count)

    with monkeypatch.context() as patch:
        patch.setattr(progress.Transfer, "watch", full)
        assert "No space left" in work(job).error
    assert not Job.objects.filter(kind="import").exists()

    questions.asked.clear()
    jobs.resume(None, job)
    assert work(job).state == "done"
    [asked] = [about.get("range") for _m, path, about in questions.asked if "signature" in path]
    assert asked.startswith("bytes=")
    assert (settings.VAR / Job.objects.get(kind="import").recipe["path"]).read_bytes() == LINES


def test_the_upload_page_leads_there(client_for, carol, project):
    page = client_for(carol).get("/p/demo/prompts/upload").content.decode()

    assert "/p/demo/jobs/new/pull_data/" in page
