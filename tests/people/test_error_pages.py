"""An error says what happened and what to do, in the look of the site."""

import logging

import pytest
from django.template.loader import render_to_string

pytestmark = pytest.mark.django_db


def test_what_is_not_there_says_where_to_go(client_for, stranger):
    response = client_for(stranger).get("/p/nowhere/")

    assert response.status_code == 404
    assert "There is no such page" in response.content.decode()


def test_what_is_not_allowed_says_who_can_help(client_for, alice):
    text = client_for(alice).get("/p/demo/jobs/").content.decode()

    assert "You don't have access to this page" in text
    assert "An admin can change your role" in text


def test_a_refusal_leaves_one_line_in_the_log_and_no_traceback(client_for, alice, caplog):
    client_for(alice).get("/p/demo/jobs/")

    [record] = [record for record in caplog.records if record.name == "django.request"]
    text = logging.Formatter().format(record)
    assert "Forbidden" in text
    assert "\n" not in text


def test_an_error_of_ours_keeps_its_traceback(client_for, alice, caplog, monkeypatch):
    monkeypatch.setattr("people.access._membership", lambda *_: 1 / 0)
    client = client_for(alice)
    client.raise_request_exception = False

    assert client.get("/p/demo/jobs/").status_code == 500

    [record] = [record for record in caplog.records if record.name == "django.request"]
    assert "ZeroDivisionError" in logging.Formatter().format(record)


def test_an_archived_project_says_why_it_refuses(client_for, carol, project):
    project.state = "archived"
    project.save()

    assert (
        "This project is archived"
        in client_for(carol).post("/p/demo/jobs/new/freeze/").content.decode()
    )


def test_a_crash_has_a_page_that_needs_no_database():
    assert "Nothing that you submitted before is lost" in render_to_string("500.html")
