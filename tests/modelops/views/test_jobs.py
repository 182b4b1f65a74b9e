"""Watching jobs, and stopping them."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils.timezone import now

from modelops import jobs
from modelops.models import Job, Metric, ModelVersion
from tests.factories import make_job, make_model
from tests.pages import one_line

pytestmark = pytest.mark.django_db
HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def browser(client_for, carol):
    return client_for(carol)


def running(project, **fields):
    claim = {"claim": uuid4(), "heartbeat_at": now(), "started_at": now() - timedelta(seconds=60)}
    return make_job(project, state="running", **claim | {"done": 30, "total": 90} | fields)


def page(browser, job, **headers):
    return browser.get(f"/p/demo/jobs/{job.pk}/", **headers)


def test_a_running_job_says_how_far_it_is_and_asks_again(browser, project):
    text = page(browser, running(project)).content.decode()

    assert "30 of 90 · 33 %" in text
    assert "about 2 min left" in text
    assert "every 2s" in text


def test_the_list_says_how_long_a_job_takes_and_where_it_runs(browser, project):
    running(project, machine="box-3", devices="0,1")

    text = one_line(browser.get("/p/demo/jobs/"))
    assert "33 % <small>2 min left</small><small>· box-3 · GPU 0, 1</small>" in text


def test_the_rate_counts_only_what_the_last_worker_did(project):
    job = running(project, started_from=24)

    assert job.rate == pytest.approx(0.1, rel=0.05)


def test_a_waiting_job_says_what_it_waits_for(browser, project):
    job = make_job(project, state="queued", note=jobs.WAITING)

    assert "waiting for a device" in page(browser, job).content.decode()


def test_a_failed_job_says_what_to_do_and_offers_to_resume(browser, project):
    text = page(
        browser, make_job(project, state="failed", error="The disk is full: free some space.")
    ).content.decode()

    assert "The disk is full: free some space." in text
    assert "Resume" in text
    assert "every 2s" not in text


def test_htmx_gets_the_changing_part_only(browser, project):
    text = page(browser, running(project), **HTMX).content.decode()

    assert text.strip().startswith("<section")
    assert "<html" not in text


def test_when_a_job_has_ended_its_page_loads_anew(browser, project):
    assert page(browser, make_job(project), **HTMX)["HX-Refresh"] == "true"
    assert "HX-Refresh" not in page(browser, running(project), **HTMX)


def test_the_log_comes_line_by_line_after_what_the_page_has(browser, project):
    job = running(project, kind="reward")
    jobs.write_log(job, ["first", "second"])
    first = job.log.order_by("pk").first()
    text = browser.get(f"/p/demo/jobs/{job.pk}/log?after={first.pk}").content.decode()

    assert "second" in text
    assert "first" not in text


def test_figures_are_shown_with_interval_and_yardstick(browser, project):
    job = make_job(project, "reward")
    jobs.write_metrics(
        job,
        [
            Metric(
                job=job,
                name="accuracy",
                slice="held-out",
                value=0.689,
                low=0.661,
                high=0.714,
                n=212,
            ),
            Metric(job=job, name="longer_answer_accuracy", slice="held-out", value=0.551, n=212),
        ],
    )
    text = page(browser, job).content.decode()

    assert "68.9 % (95 % interval 66.1 to 71.4), n = 212" in text
    assert text.index("68.9 %") < text.index("picking the longer answer")


def test_curves_have_numbers_and_a_title_and_no_style(browser, project):
    job = running(project, kind="dpo")
    jobs.write_metrics(
        job,
        [
            Metric(job=job, name="loss", step=step, value=0.7 - step / 1000)
            for step in range(1, 101)
        ],
    )
    text = page(browser, job).content.decode()

    assert "<title>loss: from 0.699 to 0.6 at step 100</title>" in text
    assert "style=" not in text


def test_a_long_run_draws_a_bounded_number_of_points(browser, project):
    job = running(project, kind="dpo")
    jobs.write_metrics(
        job, [Metric(job=job, name="loss", step=step, value=1 / step) for step in range(1, 2001)]
    )
    chart = page(browser, job).context["charts"][0]

    assert chart.path.count("L") <= 300
    assert chart.summary.endswith("at step 2000")


def test_cancelling_a_waiting_job_ends_it(browser, project):
    job = make_job(project, state="queued")
    browser.post(f"/p/demo/jobs/{job.pk}/cancel")

    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED


def test_cancelling_a_running_job_asks_its_worker(browser, project):
    job = running(project)
    browser.post(f"/p/demo/jobs/{job.pk}/cancel")

    job.refresh_from_db()
    assert (job.state, job.cancel_requested) == ("running", True)
    assert "stopping" in page(browser, job).content.decode()


def test_resuming_queues_the_job_again(browser, project):
    job = make_job(project, state="cancelled", done=5, total=9)
    browser.post(f"/p/demo/jobs/{job.pk}/resume")

    job.refresh_from_db()
    assert (job.state, job.done) == ("queued", 5)


def test_a_script_reads_the_same_as_data(browser, project):
    job = running(project, model_version=make_model(project))
    data = browser.get(f"/p/demo/jobs/{job.pk}.json").json()

    assert (data["state"], data["done"], data["total"], data["model_made"]) == (
        "running",
        30,
        90,
        None,
    )


def test_that_data_is_the_apis_with_the_figures_of_the_result(browser, project):
    job = make_job(project, "reward", result={"pairs": 3})
    ModelVersion.objects.create(project=project, kind="reward", name="judge 1", job=job)
    Metric.objects.create(job=job, name="loss", value=float("inf"))
    Metric.objects.create(job=job, name="accuracy", slice="test", value=0.5, low=0.25, high=0.75)
    Metric.objects.create(job=job, name="accuracy", step=10, value=0.4)
    data = browser.get(f"/p/demo/jobs/{job.pk}.json").json()
    metrics, name = data.pop("metrics"), data.pop("model_name")

    assert data == browser.get(f"/api/v1/projects/demo/jobs/{job.pk}").json()
    assert (data["model_made"], name) == (ModelVersion.objects.get().pk, "judge 1")
    assert [(one["name"], one["slice"], one["value"], one["high"]) for one in metrics] == [
        ("loss", "", None, None),
        ("accuracy", "test", 0.5, 0.75),
    ]


def test_the_list_can_be_filtered(browser, project):
    make_job(project, "freeze", state="failed", error="x")
    make_job(project, "sample")
    shown = browser.get("/p/demo/jobs/?state=failed&kind=freeze").context["page"]

    assert [job.kind for job in shown] == ["freeze"]


def test_fifty_jobs_take_as_many_queries_as_one(browser, project, django_assert_max_num_queries):
    for _ in range(50):
        make_job(project, "reward", model_version=make_model(project), result={"dataset": 1})
    with django_assert_max_num_queries(9):
        assert len(browser.get("/p/demo/jobs/").context["page"]) == 50


def test_a_list_asks_for_its_live_jobs_until_all_have_ended(browser, project):
    live, done = running(project), make_job(project)
    asking = browser.get(f"/p/demo/jobs/live?id={live.pk}&id={done.pk}")

    assert asking.status_code == 200
    assert f'id="job-{live.pk}-progress" hx-swap-oob="true"' in one_line(asking)
    assert browser.get(f"/p/demo/jobs/live?id={done.pk}").status_code == 286
