"""Who waits for a job: the page follows it to its end by itself, and is no wider than a phone."""

import pytest
from playwright.sync_api import expect

from labeling.exports import difference, freeze
from modelops import jobs
from modelops.models import Job
from tests.browser.hands import PHONE
from tests.factories import make_ranking, make_task
from tests.worker import work

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LONG = "M" * 90


def fail(job: Job, reason: str) -> None:
    claimed = jobs.claim(job.pk, {job.kind})
    with jobs.running(claimed):
        raise jobs.JobFailed(reason)


def test_a_page_follows_the_job_to_its_failure_and_the_next_one_to_its_result(
    window, log_in, project, alice, bob, carol, monkeypatch, picture
):
    monkeypatch.setattr(difference, "SMALL", 0)
    make_ranking(make_task(project), alice)
    before = freeze.freeze_now(None, project)
    make_ranking(make_task(project), bob)
    after = freeze.freeze_now(None, project)
    page = window(**PHONE)
    log_in(page, carol)
    page.clock.install()
    page.goto(f"/p/demo/datasets/{after.pk}/difference/?before={before.pk}")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("h1")).to_have_text("The datasets are being compared")
    picture(page, "waiting-390-light-queued")

    fail(Job.objects.get(kind="compare"), f"{LONG} is gone.")
    page.clock.run_for(3_500)
    expect(page.get_by_role("alert")).to_contain_text("is gone.")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    picture(page, "waiting-390-light-failed")

    page.get_by_role("button", name="Try again").click()
    expect(page.locator("h1")).to_have_text("The datasets are being compared")
    work(Job.objects.filter(kind="compare").latest("pk"))
    page.clock.run_for(3_500)
    expect(page.locator("h1")).to_have_text("What differs")


def test_names_of_any_length_stay_on_the_page_of_a_job(window, log_in, project, carol):
    recipe = {"repo": f"owner/{LONG}", "name": LONG}
    job = jobs.request(carol, project, Job.Kind.PULL_MODEL, recipe)
    claimed = jobs.claim(job.pk, {job.kind})
    claimed.result = {"files": 1, "bytes": 1, "commit": "c", "left_out": [f"onnx/{LONG}.onnx"]}
    jobs.end(claimed, Job.State.DONE)
    page = window(**PHONE)
    log_in(page, carol)
    page.goto(f"/p/demo/jobs/{job.pk}/")

    expect(page.locator("main")).to_contain_text(f"onnx/{LONG}.onnx")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
