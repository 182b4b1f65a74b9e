"""Lines of JSON, and the id of a request from its arrival to the logs of workers."""

import io
import json
import logging
from datetime import datetime
from logging.config import DictConfigurator

import pytest
from celery import Celery
from django.conf import settings
from django.test import Client

from people import logs

pytestmark = pytest.mark.django_db
ID = "4f-9c:1"


@pytest.fixture
def lines(monkeypatch):
    """What the log has, as JSON, of a process that supervisor calls web."""
    monkeypatch.setenv("SUPERVISOR_PROCESS_NAME", "web")
    configured = dict(settings.LOGGING["formatters"]["json"])
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(DictConfigurator({}).configure_formatter(configured))
    logger, root = logging.getLogger("podium.access"), logging.getLogger()
    level, root_level = logger.level, root.level
    logger.setLevel(logging.INFO)
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    yield lambda: [json.loads(line) for line in handler.stream.getvalue().splitlines()]
    root.removeHandler(handler)
    logger.setLevel(level)
    root.setLevel(root_level)


def test_each_request_is_one_line(client_for, alice, lines):
    client_for(alice).get("/account/?q=secret", REMOTE_ADDR="192.0.2.7")

    [line] = lines()
    assert line.pop("ms") > 0
    assert datetime.fromisoformat(line.pop("time")).utcoffset().total_seconds() == 0
    assert len(line.pop("request_id")) == 32
    assert line == {
        "level": "INFO",
        "logger": "podium.access",
        "message": "request",
        "process": "web",
        "method": "GET",
        "path": "/account/",
        "status": 200,
        "user": alice.pk,
        "address": "192.0.2.7",
    }


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/join/s3cret/", "/join/***"),
        ("/join/s3cret", "/join/***"),
        ("/password/MQ/s3cret/", "/password/***"),
        ("/password/MQ/s3cret", "/password/***"),
        ("/login/", "/login/"),
    ],
)
def test_the_secret_of_a_link_is_in_no_line_of_a_request(lines, path, logged):
    Client().get(path)

    assert [line["path"] for line in lines() if line["logger"] == "podium.access"] == [logged]


@pytest.mark.parametrize("path", ["/livez", "/api/v1/projects/", "/p/demo/jobs/", "/no/page"])
def test_a_request_keeps_the_id_that_it_came_with(client_for, alice, lines, path):
    response = client_for(alice).get(path, headers={"X-Request-ID": ID})

    assert response["X-Request-ID"] == ID
    assert lines()
    assert {line["request_id"] for line in lines()} == {ID}


@pytest.mark.parametrize("sent", ["", "no\tid", "two words", "a" * 101, '"}', "ü"])
def test_an_id_that_could_forge_a_line_is_replaced(lines, sent):
    responses = [Client().get("/livez", headers={"X-Request-ID": sent}) for _ in range(2)]
    first, second = [response["X-Request-ID"] for response in responses]

    assert len(first) == len(second) == 32
    assert first != second
    assert [line["request_id"] for line in lines()] == [first, second]


def test_a_refusal_is_logged_with_its_id_and_who_asked(client_for, alice, lines):
    client_for(alice).get("/p/demo/jobs/", headers={"X-Request-ID": ID})

    refusal, request = lines()
    assert refusal["logger"] == "django.request"
    assert f"user {alice.pk}, from 127.0.0.1" in refusal["message"]
    assert request["status"] == 403
    assert refusal["request_id"] == request["request_id"] == ID


def test_so_is_one_that_no_exception_made(lines):
    """Django logs it when all middleware has ended."""
    Client().get("/api/v1/projects/", headers={"X-Request-ID": ID})

    assert [line["logger"] for line in lines()] == ["podium.access", "django.request"]
    assert [line["request_id"] for line in lines()] == [ID, ID]


def test_an_error_of_ours_is_one_line_with_its_traceback(client_for, alice, lines, monkeypatch):
    monkeypatch.setattr("people.access._membership", lambda *_: 1 / 0)
    client = client_for(alice)
    client.raise_request_exception = False
    client.get("/p/demo/jobs/")

    error, request = lines()
    assert "ZeroDivisionError" in error["traceback"]
    assert request["status"] == 500


def test_the_id_goes_with_a_message_into_the_logs_of_a_worker(lines, monkeypatch):
    app = Celery("a worker", broker="memory://")
    app.conf.task_ignore_result = True
    sent = []

    @app.task(name="work")
    def work():
        logging.getLogger("work").warning("at work")

    def view(request):
        work.apply_async(producer=Recorder(app, sent))
        return logs.HttpResponse()

    class Recorder(app.amqp.Producer):
        def __init__(self, app, sent):
            super().__init__(app.connection_for_write(), auto_declare=False)

        def publish(self, body, **named):
            sent.append(named["headers"])

    request = logs.HttpRequest()
    request.META["HTTP_X_REQUEST_ID"] = ID
    logs.LogRequests(view)(request)
    [headers] = sent
    assert headers["request_id"] == ID

    from celery.app.trace import build_tracer

    tracer = build_tracer("work", work, app=app)
    tracer("1", (), {}, {**headers, "is_eager": False})
    tracer("2", (), {}, {"id": "2", "task": "work"})
    written = [line for line in lines() if line["logger"] == "work"]

    assert [line.get("request_id") for line in written] == [ID, None]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/v1/projects/none", 404), ("/api/v1/nothing", 404), ("/api/v1/projects?limit=0", 400)],
)
def test_a_problem_of_the_api_says_the_id_of_its_request(client_for, alice, path, status):
    answer = client_for(alice).get(path, headers={"X-Request-ID": ID})

    assert answer.status_code == status
    assert answer.json()["request_id"] == answer["X-Request-ID"] == ID


def test_a_problem_before_any_view_says_it_too(settings):
    settings.ALLOWED_HOSTS = ["podium.example"]
    answer = Client().get("/api/v1/me", headers={"X-Request-ID": ID, "Host": "elsewhere.example"})

    assert (answer.status_code, answer.json()["request_id"]) == (400, ID)
