"""Who waits for a job sees how far it is, and is told when it has failed."""

import shutil

import pytest

from labeling.exports import difference, downloads, freeze
from modelops import datasets, jobs
from modelops.models import Dataset, Job
from tests.factories import make_person, make_ranking, make_task
from tests.pages import one_line
from tests.worker import work

pytestmark = pytest.mark.django_db
PAGES = {"render": "download?format=trl", "compare": "difference/?before={before}"}
HTMX = {"HX-Request": "true"}


@pytest.fixture(params=PAGES)
def kind(request, monkeypatch):
    monkeypatch.setattr(downloads, "SMALL", 0)
    monkeypatch.setattr(difference, "SMALL", 0)
    return request.param


@pytest.fixture
def address(project, alice, bob, kind):
    make_ranking(make_task(project), alice)
    before = freeze.freeze_now(None, project)
    make_ranking(make_task(project), bob)
    after = freeze.freeze_now(None, project)
    return f"/p/demo/datasets/{after.pk}/{PAGES[kind].format(before=before.pk)}"


@pytest.fixture
def researcher(client_for, project):
    return client_for(make_person(project, "researcher", "rita"))


@pytest.fixture
def job(researcher, address, kind) -> Job:
    """The job that a reader asked for."""
    researcher.post(address)
    return Job.objects.get(kind=kind)


def fail(job: Job) -> None:
    claimed = jobs.claim(job.pk, {job.kind})
    with jobs.running(claimed):
        raise jobs.JobFailed("No space left on device")


def test_a_page_offers_the_job_before_it_waits(researcher, address):
    page = researcher.get(address)

    assert (page.status_code, page.has_header("Retry-After")) == (409, False)
    assert '<form method="post"' in page.content.decode()
    assert "hx-get" not in one_line(page).partition("<main")[2]


def test_a_page_that_waits_shows_how_far_the_job_is(researcher, client_for, carol, address, job):
    Job.objects.filter(pk=job.pk).update(done=3, total=4)

    for headers in ({}, HTMX):
        page = researcher.get(address, headers=headers)
        assert (page.status_code, page["Retry-After"]) == (202, "5")
        assert "75 %" in one_line(page)
        assert f'hx-get="{address}"' in one_line(page)
        assert f"/p/demo/jobs/{job.pk}/" not in page.content.decode(), "it is for admins"
    assert f"/p/demo/jobs/{job.pk}/" in client_for(carol).get(address).content.decode()


def test_a_failure_ends_the_waiting_with_its_reason_and_can_be_tried_again(
    researcher, client_for, carol, address, job, kind
):
    fail(job)
    assert researcher.get(address, headers=HTMX)["HX-Refresh"] == "true"

    page = researcher.get(address)
    assert page.status_code == 409
    assert "No space left on device" in one_line(page)
    assert "Try again" in one_line(page)
    assert "hx-get" not in one_line(page).partition("<main")[2]
    assert f"/p/demo/jobs/{job.pk}/" in client_for(carol).get(address).content.decode()

    assert researcher.post(address).url == address
    again = Job.objects.filter(kind=kind).latest("pk")
    assert again.pk != job.pk
    assert researcher.get(address).status_code == 202
    assert work(again).state == "done"
    assert researcher.get(address).status_code == 200


def test_a_cancelled_job_is_said_and_a_resumed_one_waited_for(
    researcher, carol, address, job, kind
):
    jobs.cancel(carol, job)
    assert "Somebody has cancelled it." in one_line(researcher.get(address))

    researcher.post(address)
    fail(Job.objects.filter(kind=kind).latest("pk"))
    jobs.resume(carol, job)
    assert researcher.get(address).status_code == 202, "the older one is under way again"


def test_a_file_that_is_gone_again_is_offered_anew(researcher, address, job):
    assert work(job).state == "done"
    shutil.rmtree(datasets.renders(job.dataset))
    page = researcher.get(address)

    assert page.status_code == 409
    assert "Try again" not in one_line(page)


API = {
    "render": ("render", "download", {"format": "trl"}),
    "compare": ("compare", "difference", {}),
}


def test_by_the_api_everybody_who_reads_the_dataset_waits_for_the_same_job(
    project, client_for, address, kind
):
    dataset = Dataset.objects.latest("pk")
    before = {} if kind == "render" else {"before": Dataset.objects.earliest("pk").pk}
    request, result, asked = API[kind]
    at, asked = f"/api/v1/projects/demo/datasets/{dataset.pk}", asked | before
    first, second = (client_for(make_person(project, "researcher", name)) for name in "ab")
    told = [
        client.post(f"{at}/{request}", asked, content_type="application/json").json()["job"]
        for client in (first, second)
    ]
    [job] = Job.objects.filter(kind=kind)
    assert [body["id"] for body in told] == [job.pk, job.pk]

    for path in ("", "/log", "/metrics"):
        assert second.get(f"/api/v1/projects/demo/jobs/{job.pk}{path}").status_code == 200
    cancel = f"/api/v1/projects/demo/jobs/{job.pk}/cancel"
    assert second.post(cancel, content_type="application/json").status_code == 403
    waiting = second.get(f"{at}/{result}", asked)
    assert (waiting.status_code, waiting["Retry-After"], waiting.json()["id"]) == (202, "5", job.pk)

    fail(job)
    refused = second.get(f"{at}/{result}", asked)
    assert refused.status_code == 409
    assert "The last attempt failed: No space left on device" in refused.json()["detail"]


def test_jobs_of_other_kinds_stay_with_those_who_asked_for_them(project, client_for):
    first, second = (make_person(project, "researcher", name) for name in "ab")
    job = jobs.request(first, project, Job.Kind.FREEZE)
    at = f"/api/v1/projects/demo/jobs/{job.pk}"

    assert client_for(first).get(at).status_code == 200
    assert client_for(second).get(at).status_code == 404


def test_who_asked_for_a_freeze_is_told_that_it_failed(project, client_for):
    first, second = (make_person(project, "researcher", name) for name in "ab")
    job = jobs.request(first, project, Job.Kind.FREEZE)
    at = "/p/demo/datasets/"
    assert "Freezing: waiting for a worker." in one_line(client_for(first).get(at))

    fail(job)
    page = one_line(client_for(first).get(at))
    assert "No space left on device" in page
    assert 'href="/p/demo/datasets/freeze/">Try again' in page
    assert "No space left" not in one_line(client_for(second).get(at))

    jobs.request(first, project, Job.Kind.FREEZE)
    assert "No space left" not in one_line(client_for(first).get(at))
