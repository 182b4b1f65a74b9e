"""An error says what happened and what to do, in the look of the site."""

import re
from logging.config import DictConfigurator

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.test import Client

from people import tokens

pytestmark = pytest.mark.django_db


def test_what_is_not_there_says_where_to_go(client_for, stranger):
    response = client_for(stranger).get("/p/nowhere/")

    assert response.status_code == 404
    assert "There is no such page" in response.content.decode()


def test_what_is_not_allowed_says_who_can_help(client_for, alice):
    text = client_for(alice).get("/p/demo/jobs/").content.decode()

    assert "You don't have access to this page" in text
    assert "An admin can change your role" in text


@pytest.fixture
def logged(caplog):
    """The lines that the log has of requests, written as the settings say."""
    formatter = DictConfigurator({}).configure_formatter(
        dict(settings.LOGGING["formatters"]["plain"])
    )
    return lambda: [
        formatter.format(record)
        for record in caplog.records
        if record.name.startswith(("django.request", "django.security"))
    ]


DATE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d WARNING django.request: "


def test_a_refusal_leaves_one_line_in_the_log_that_says_who_asked(client_for, alice, logged):
    client_for(alice).get("/p/demo/jobs/", REMOTE_ADDR="192.0.2.7")

    [line] = logged()
    assert re.fullmatch(
        rf"{DATE}Forbidden \(Permission denied\): /p/demo/jobs/ "
        rf"\(GET, user {alice.pk}, from 192\.0\.2\.7\)",
        line,
    )


@pytest.mark.parametrize(
    ("path", "says"), [("/p/nowhere/", "Not Found: /p/nowhere/"), ("/api/v1/x", "Not Found")]
)
def test_so_does_what_is_not_there(client_for, alice, logged, path, says):
    client_for(alice).get(path, headers={"X-Request-ID": "4f-9c"})

    [line] = logged()
    assert says in line
    assert line.endswith(f"(GET, user {alice.pk}, from 127.0.0.1, request 4f-9c)")
    assert "\n" not in line


def test_so_does_a_refusal_of_the_api(alice, logged):
    _token, token = tokens.make(alice, "script", ["read"], days=1)
    Client().get("/api/v1/projects/demo/jobs/", headers={"Authorization": f"Bearer {token}"})

    assert f"(GET, user {alice.pk}, from 127.0.0.1)" in logged()[-1]


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"path": "/", "headers": {"Host": "elsewhere.example"}}, "Invalid HTTP_HOST header"),
        (
            {"path": "/login/", "data": {f"{n}": n for n in range(1001)}, "method": "post"},
            "The number of GET/POST parameters exceeded",
        ),
        ({"path": "/%0Aa forged line", "headers": {"X-Request-ID": "no\tid"}}, "Not Found"),
    ],
)
def test_so_does_a_request_that_django_does_not_take(logged, request_, says):
    method = request_.pop("method", "get")
    getattr(Client(), method)(**request_)

    [line] = logged()
    assert says in line
    assert line.endswith(f"({method.upper()}, no user, from 127.0.0.1)")
    assert "\n" not in line


def test_an_error_of_ours_keeps_its_traceback(client_for, alice, logged, monkeypatch):
    monkeypatch.setattr("people.access._membership", lambda *_: 1 / 0)
    client = client_for(alice)
    client.raise_request_exception = False

    assert client.get("/p/demo/jobs/").status_code == 500

    [record] = logged()
    assert "ZeroDivisionError" in record
    assert f"user {alice.pk}" in record


def test_an_archived_project_says_why_it_refuses(client_for, carol, project):
    project.state = "archived"
    project.save()

    assert (
        "This project is archived"
        in client_for(carol).post("/p/demo/jobs/new/freeze/").content.decode()
    )


def test_a_crash_has_a_page_that_needs_no_database():
    assert "Nothing that you submitted before is lost" in render_to_string("500.html")
