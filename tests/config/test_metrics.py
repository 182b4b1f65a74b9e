"""/metrics: for its token only, with the totals of all processes and figures that are right."""

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import OperationalError
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from config import metrics
from config.run import up
from labeling.judging import rankings
from labeling.judging.judgment import Judgment, Verdict
from labeling.models import Assignment
from labeling.queue import claims
from modelops import liveness
from people.db.clock import now
from tests.factories import make_job, make_model, make_person, make_project, make_prompt, make_task

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-of-some-length"
VERDICTS = Judgment({letter: Verdict(rank) for rank, letter in enumerate("abcd", 1)})


class Broker:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def llen(self, queue):
        return {"training": 3}.get(queue, 0)


@pytest.fixture(autouse=True)
def site(settings, monkeypatch):
    settings.METRICS_TOKEN = TOKEN
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    monkeypatch.setattr(liveness, "broker", Broker)
    monkeypatch.setattr(liveness, "alive", lambda client: {"default": 1, "training": 2})
    cache.clear()
    yield
    cache.clear()


def scrape():
    response = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize("sent", ["", "Bearer ", "Bearer other", TOKEN, f"Bearer {TOKEN}x"])
def test_without_the_token_there_is_no_such_page(sent):
    assert Client().get("/metrics", headers={"Authorization": sent}).status_code == 404


@pytest.mark.parametrize("sent", ["", "Bearer ", "Bearer None"])
def test_where_no_token_is_set_nobody_reads_it(settings, sent):
    settings.METRICS_TOKEN = ""

    assert Client().get("/metrics", headers={"Authorization": sent}).status_code == 404


def test_requests_are_counted_by_route_and_status():
    name, none = "podium_requests_total", "p/<slug:slug>/"
    before = scrape()
    Client().get("/p/nowhere/")
    Client().get("/p/nothing/")
    Client().get("/no/such/page/")
    after = scrape()

    assert after[name, "302", "GET", none] - before.get((name, "302", "GET", none), 0) == 2
    assert after[name, "", "404", "GET"] - before.get((name, "", "404", "GET"), 0) == 1
    # the three and the scrape before
    total = ("podium_request_seconds_count", "page")
    assert after[total] - before.get(total, 0) == 4


def test_a_submitted_ranking_is_counted(alice, project, django_capture_on_commit_callbacks):
    make_task(project)
    assignment = claims.next_for(alice.memberships.get())
    before = scrape().get(("podium_rankings_submitted_total",), 0)
    with django_capture_on_commit_callbacks(execute=True):
        rankings.submit(assignment, VERDICTS)

    assert scrape()["podium_rankings_submitted_total",] - before == 1


def test_figures_of_the_queue_and_of_jobs(project):
    alice = make_person(name="annie")
    [first, _second] = [make_task(project), make_task(project)]
    reserved = make_task(project)
    type(reserved).objects.filter(pk=reserved.pk).update(reserved_for_user=alice)
    made = {"task": first, "labeler": alice, "project": project, "order": []}
    lease = Assignment.objects.create(place=0, leased_until=now(), **made)
    Assignment.objects.filter(pk=lease.pk).update(leased_until=now().replace(year=2999))
    make_job(project, "freeze", state="failed", error="no rows")
    figures = scrape()

    assert figures["podium_tasks_free", "anybody", project.slug] == 2
    assert figures["podium_tasks_free", project.slug, "person"] == 1
    assert figures["podium_leases",] == 1
    assert figures["podium_jobs", "failed", "freeze"] == 1
    assert figures["podium_workers", "training"] == 2
    assert figures["podium_broker_messages", "training"] == 3
    assert figures["podium_up", "database"] == figures["podium_up", "broker"] == 1
    assert figures["podium_disk_bytes", "data", "free"] > 0


def test_tokens_a_second_are_those_of_the_newest_answers(project):
    claimed = {"claim": uuid4(), "heartbeat_at": now(), "started_at": now() - timedelta(hours=1)}
    claimed |= {"model_version": make_model(project)}
    job = make_job(project, "sample", state="running", done=3600, **claimed)
    prompt = make_prompt(project)
    for position, tokens in enumerate([10, 30]):
        made = {"prompt": prompt, "model_version": job.model_version, "slot": position}
        job.candidates.create(tokens=tokens, **made)
    figures = scrape()

    assert figures["podium_job_units_per_second", "sample"] == pytest.approx(1, rel=0.05)
    assert figures["podium_sampling_tokens_per_second",] == pytest.approx(20, rel=0.05)


def test_more_tasks_and_projects_take_no_more_queries(project, django_assert_num_queries):
    with django_assert_num_queries(7):
        metrics._read()
    for number in range(3):
        other = make_project(name=f"Other {number}", slug=f"other-{number}")
        make_task(other)
        make_task(other)
    with django_assert_num_queries(7):
        metrics._read()


def test_small_projects_share_a_label(project, monkeypatch):
    monkeypatch.setattr(metrics, "PROJECTS", 1)
    small = [make_project(name=f"Other {n}", slug=f"other-{n}") for n in range(2)]
    for owner in [project, project, *small]:
        make_task(owner)

    assert metrics._tasks() == [[project.slug, "anybody", 2], ["(others)", "anybody", 2]]


def test_a_database_that_is_away_leaves_the_counts(monkeypatch):
    def away():
        raise OperationalError("away")

    monkeypatch.setattr(metrics, "_read", away)
    figures = scrape()

    assert figures["podium_up", "database"] == 0
    assert figures["podium_up", "broker"] == 1
    assert ("podium_leases",) not in figures
    assert any(name == "podium_requests_total" for name, *_labels in scrape())


COUNT = """
import django; django.setup()
from people.metrics import counted, rankings_submitted
from prometheus_client import generate_latest
rankings_submitted.inc()
print(generate_latest(counted()).decode())
"""


def test_every_process_answers_with_the_totals_of_all(tmp_path):
    folder = tmp_path / "run" / "metrics"
    folder.mkdir(parents=True)
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)}

    def count():
        command = [sys.executable, "-c", COUNT]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=True)
        return re.search(rb"^podium_rankings_submitted_total (\S+)", done.stdout, re.M)[1]

    assert [count(), count()] == [b"1.0", b"2.0"]
    assert up.empty_counts(tmp_path) == folder
    assert count() == b"1.0"


def test_the_dashboard_shows_metrics_that_a_scrape_has(project):
    make_task(project)
    make_job(project, "freeze")
    board = json.loads((ROOT / "deploy/grafana/podium.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    named = set(re.findall(r"podium_\w+", " ".join(asked)))
    scrape()
    response = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    text = response.content.decode()
    families = set(re.findall(r"^# TYPE (\w+)", text, re.M))
    samples = set(re.findall(r"^(podium_\w+)", text, re.M))

    assert len(named) > 8
    assert named - families - samples == set()
    operator = (ROOT / "docs/operator.md").read_text(encoding="utf-8")
    created = {name for name in families if name.endswith("_created")}
    assert [name for name in families - created if f"| `{name}` |" not in operator] == []
