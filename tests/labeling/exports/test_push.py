"""A frozen dataset goes to the Hub: private by default, with its card, file by file."""

import pytest

from labeling.exports import downloads, freeze
from modelops import datasets, jobs, progress
from modelops.models import Job
from people.models import AuditEvent
from tests.factories import make_ranking, make_task
from tests.modelops.hub_server import COMMIT, TOKEN
from tests.worker import work

pytestmark = pytest.mark.django_db
REPO = "us/preferences"


@pytest.fixture
def frozen(project, alice):
    make_ranking(make_task(project), alice)
    return freeze.freeze_now(None, project, licence="cc-by-4.0")


def start(project, dataset, actor=None, **recipe) -> Job:
    about = {"repo": REPO} | recipe
    return jobs.request(actor, project, Job.Kind.PUSH, about, dataset=dataset)


def push_it(project, dataset, **recipe) -> Job:
    return work(start(project, dataset, **recipe))


def test_a_dataset_is_pushed_with_its_card_as_a_private_one(project, carol, frozen, hub):
    job = work(start(project, frozen, carol))

    assert job.state == "done", job.error
    there = hub.repos["dataset", REPO]
    assert there["private"]
    assert {"README.md", "examples/train.parquet", "rows/train.parquet"} <= set(there["files"])
    assert frozen.digest in there["files"]["README.md"].decode()
    assert there["files"]["rows/train.parquet"].startswith(b"PAR1")
    assert job.result == {
        "repo": REPO,
        "commit": COMMIT,
        "private": True,
        "address": f"{hub.address}/datasets/{REPO}/commit/{COMMIT}",
        "files": len(there["files"]),
        "bytes": sum(map(len, there["files"].values())),
    }
    event = AuditEvent.objects.get(verb="push dataset")
    assert (event.actor, event.data["repo"], event.data["private"]) == (carol, REPO, True)
    assert [commit["summary"] for commit in hub.commits] == [f"Dataset {frozen.short} of Podium"]


def test_it_is_public_only_where_that_was_said(project, frozen, hub):
    push_it(project, frozen, private=False)

    assert not hub.repos["dataset", REPO]["private"]


def test_what_an_earlier_push_left_goes_and_other_files_stay(project, frozen, hub):
    there = {"rows/test.parquet": b"PAR1 withdrawn", "LICENSE": b"Mine", "plots/old.svg": b"<svg/>"}
    hub.add("dataset", REPO, dict(there), private=True)
    push_it(project, frozen)

    files = hub.repos["dataset", REPO]["files"]
    assert files["LICENSE"] == b"Mine"
    assert files.get("rows/test.parquet") != b"PAR1 withdrawn"
    assert "plots/old.svg" not in files


def test_the_job_says_whether_the_repository_is_private(project, frozen, hub):
    hub.add("dataset", REPO, {}, private=True)

    assert push_it(project, frozen, private=False).result["private"] is True


def test_a_dataset_that_is_withdrawn_meanwhile_is_not_committed(
    project, carol, frozen, hub, monkeypatch
):
    finish = progress.Transfer.finish

    def withdraw_first(transfer):
        datasets.withdraw(carol, frozen, "erased")
        finish(transfer)

    monkeypatch.setattr(progress.Transfer, "finish", withdraw_first)
    job = push_it(project, frozen)

    assert (job.state, hub.commits) == ("cancelled", [])


def test_a_public_repository_is_not_written_where_a_private_one_is_meant(project, frozen, hub):
    hub.add("dataset", REPO, {})
    job = push_it(project, frozen)

    assert (job.state, "is public already" in job.error) == ("failed", True)
    assert hub.repos["dataset", REPO]["files"] == {}
    assert not hub.objects


def test_without_a_token_nothing_is_sent(project, frozen, hub, settings):
    settings.HUB_TOKEN = ""
    job = push_it(project, frozen)

    assert (job.state, "Set HF_TOKEN" in job.error) == ("failed", True)
    assert not hub.asked


def test_a_token_that_may_not_write_is_one_sentence_without_the_token(
    project, frozen, hub, settings
):
    settings.HUB_TOKEN = "hf_of_a_reader"
    job = push_it(project, frozen)

    assert "does not let the account of HF_TOKEN" in job.error
    assert "hf_of" not in job.error


def test_what_has_arrived_is_not_sent_again(project, frozen, hub):
    hub.refuses["/api/datasets/us/preferences/commit"] = 400
    job = push_it(project, frozen)
    assert (job.state, "answered 400" in job.error) == ("failed", True)
    sent = len(hub.paths("PUT"))
    assert sent >= 2

    hub.refuses.clear()
    jobs.resume(None, job)
    done = work(job)
    assert done.state == "done", done.error
    assert len(hub.paths("PUT")) == sent
    assert done.done == done.total


def test_the_same_dataset_again_makes_no_second_commit(project, frozen, hub):
    push_it(project, frozen)
    again = push_it(project, frozen)

    assert again.state == "done", again.error
    assert len(hub.commits) == 1
    assert again.result["commit"] == COMMIT


@pytest.mark.parametrize("method", ["watch", "alive"])
def test_a_cancel_stops_between_two_blocks_and_commits_nothing(
    project, frozen, hub, monkeypatch, method
):
    """While files are sent, and (alive) while they are hashed before."""
    downloads.make(frozen, downloads.choose(frozen, "folder"))
    monkeypatch.setattr(progress, "EVERY", 0)
    job, original = start(project, frozen), getattr(progress.Transfer, method)

    def cancelled(transfer, count=0):
        Job.objects.filter(pk=job.pk).update(cancel_requested=True)
        original(transfer, count)

    monkeypatch.setattr(progress.Transfer, method, cancelled)
    done = work(job)
    assert (done.state, done.error) == ("cancelled", "")
    assert not hub.commits


def test_the_token_is_sent_to_the_hub_and_kept_nowhere(project, frozen, hub, caplog, settings):
    caplog.set_level("DEBUG")
    job = push_it(project, frozen)

    assert not [path for path, about in put(hub) if "authorization" in about]
    assert TOKEN not in caplog.text
    assert TOKEN not in f"{job.recipe} {job.result}"


def put(hub) -> list[tuple[str, dict]]:
    return [(path, about) for method, path, about in hub.asked if method == "PUT"]


def test_a_withdrawn_dataset_is_not_pushed(project, carol, frozen, hub):
    job = start(project, frozen)
    datasets.withdraw(carol, frozen, "asked for")

    assert Job.objects.get(pk=job.pk).state == "cancelled"
    jobs.resume(carol, job)
    assert "was withdrawn" in work(job).error
    assert not hub.asked


def test_the_page_of_a_dataset_leads_there(client_for, carol, project, frozen, hub):
    browser = client_for(carol)
    address = f"/p/demo/jobs/new/push/?dataset={frozen.pk}"
    assert address in browser.get(f"/p/demo/datasets/{frozen.pk}/").content.decode()
    assert 'name="private"' in browser.get(address).content.decode()

    sent = browser.post(
        "/p/demo/jobs/new/push/", {"repo": REPO, "dataset": frozen.pk, "private": 1}
    )
    work(Job.objects.get(kind="push"))
    page = browser.get(sent.url).content.decode()
    assert f"{hub.address}/datasets/{REPO}/commit/{COMMIT}" in page
    assert "It is private." in page
