"""A database that is away and a disk that is full are told in words, on pages and in the API."""

import builtins
import io
import os
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection
from django.test import Client

from labeling.models import Assignment
from modelops import jobs
from modelops.models import Job
from people import logs, request_limits, tokens
from tests.factories import make_ranking, make_task
from workers import dataset_jobs

pytestmark = pytest.mark.django_db
PROBLEM = "application/problem+json"


@pytest.fixture
def admin(client_for, carol):
    client = client_for(carol)
    client.raise_request_exception = False
    return client


@pytest.fixture
def script(carol):
    token = tokens.make(carol, "script", ["admin", "launch", "label"], days=1)[1]
    client = Client(headers={"Authorization": f"Bearer {token}"})
    client.raise_request_exception = False
    return client


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


# The database is away


@pytest.fixture
def away(admin, script, monkeypatch):
    """From now on no query of an account, a session or a token is answered."""
    error = OperationalError("connection timeout expired")
    for name in ("people.sessions._account", "people.sessions._session", "people.tokens.find"):
        monkeypatch.setattr(name, raising(error))


@pytest.mark.usefixtures("away")
def test_a_page_says_that_the_database_is_away_and_offers_to_try_again(admin):
    page = admin.get("/p/demo/jobs/?state=done")

    assert (page.status_code, page["Retry-After"]) == (503, "5")
    text = page.content.decode()
    assert "The database does not answer" in text
    assert '<a class="button go" href="/p/demo/jobs/?state=done">Try again</a>' in text


@pytest.mark.usefixtures("away")
def test_a_form_is_not_sent_again_by_a_link(admin):
    page = admin.post("/account/", {"name": "Carol"})

    assert page.status_code == 503
    assert "Try again</a>" not in page.content.decode()


@pytest.mark.usefixtures("away")
def test_the_api_says_so_as_a_problem(script):
    answer = script.get("/api/v1/projects/demo/jobs")

    assert (answer.status_code, answer["Content-Type"], answer["Retry-After"]) == (
        503,
        PROBLEM,
        "5",
    )
    assert answer.json()["title"] == "Service Unavailable"


@pytest.mark.usefixtures("away")
def test_the_log_says_so_in_one_line(admin, caplog):
    admin.get("/p/demo/jobs/")

    [record] = [record for record in caplog.records if record.name == "django.request"]
    assert logs.Formatter().format(record) == (
        "Service Unavailable: /p/demo/jobs/ (GET, no user, from 127.0.0.1): "
        "connection timeout expired"
    )


@pytest.mark.django_db(transaction=True)
def test_an_error_of_ours_is_no_fault_of_the_database(admin, monkeypatch):
    """SQLite reports a missing table by the class of error that it has for a locked database."""

    def asks(*_):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM nowhere")

    monkeypatch.setattr("people.access._membership", asks)
    page = admin.get("/p/demo/jobs/")

    assert (page.status_code, "Something went wrong" in page.content.decode()) == (500, True)


@pytest.mark.parametrize(("status", "says"), [(503, "database does not answer"), (507, "is full")])
def test_what_the_server_could_not_take_is_put_in_words(status, says):
    page = Client().generic("POST", "/login/", **{request_limits.REFUSED: status})

    assert (page.status_code, says in page.content.decode()) == (status, True)


# The disk is full


@pytest.fixture
def full_disk(monkeypatch, tmp_path):
    """Whatever is written to a file in the data folder, the system says that there is no space."""
    real_open, real_os_open = io.open, os.open

    def is_inside(path):
        return isinstance(path, str | Path) and Path(path).is_relative_to(tmp_path)

    def full_open(path, mode="r", *arguments, **named):
        written = set(mode) & set("wxa") and is_inside(path)
        mode = mode.replace("x", "w") if written else mode
        return real_open("/dev/full" if written else path, mode, *arguments, **named)

    def full_os_open(path, flags, *arguments, **named):
        if flags & os.O_CREAT and is_inside(path):
            path, flags = "/dev/full", os.O_RDWR
        return real_os_open(path, flags, *arguments, **named)

    monkeypatch.setattr(builtins, "open", full_open)
    monkeypatch.setattr(io, "open", full_open)
    monkeypatch.setattr(os, "open", full_os_open)


def upload():
    return {"file": SimpleUploadedFile("prompts.jsonl", b'{"prompt": "Why?"}\n')}


@pytest.mark.usefixtures("full_disk")
def test_an_upload_to_a_full_disk_has_a_page(admin):
    page = admin.post("/p/demo/prompts/upload", upload())

    assert page.status_code == 507
    assert "The disk is full" in page.content.decode()
    assert not Job.objects.exists()


@pytest.mark.usefixtures("full_disk")
def test_an_upload_to_a_full_disk_is_a_problem_of_the_api(script):
    answer = script.post("/api/v1/projects/demo/imports", upload())

    assert (answer.status_code, answer["Content-Type"]) == (507, PROBLEM)
    assert answer.json()["title"] == "Insufficient Storage"


def test_a_dataset_on_a_full_disk_fails_with_a_sentence(project, carol, alice, full_disk):
    make_ranking(make_task(project), alice)
    jobs.request(carol, project, "freeze")
    job = jobs.claim_next({"freeze"})
    with jobs.running(job):
        dataset_jobs.run(job)

    job.refresh_from_db()
    assert (job.state, job.error) == (
        "failed",
        "The disk is full. Free some space, then resume the job.",
    )
    assert not project.datasets.exists()


@pytest.fixture
def full_database(project):
    """SQLite refuses to grow its file: as on a full disk, "database or disk is full"."""
    if connection.vendor != "sqlite":
        pytest.skip("of SQLite")

    def fill():
        with connection.cursor() as cursor:
            cursor.execute("VACUUM")  # tests before this one may have left free pages
            cursor.execute("PRAGMA page_count")
            pages = cursor.fetchone()[0]
            cursor.execute(f"PRAGMA max_page_count = {pages}")

    yield fill
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA max_page_count = 1073741823")


@pytest.mark.django_db(transaction=True)
def test_a_draft_and_a_ranking_on_a_full_disk_are_refused_in_words(
    client_for, alice, project, full_database
):
    make_task(project)
    labeler = client_for(alice)
    labeler.raise_request_exception = False
    labeler.get("/p/demo/rank/")
    at = f"/p/demo/rank/{Assignment.objects.get().pk}"
    full_database()
    form = {"rank-a": 1, "rank-b": 2, "rank-c": 3, "rank-d": 4, "note": "long " * 1900}
    draft, ranking = labeler.post(f"{at}/draft", form), labeler.post(f"{at}/submit", form)

    assert [draft.status_code, ranking.status_code] == [507, 507]
    assert "The disk is full" in ranking.content.decode()
