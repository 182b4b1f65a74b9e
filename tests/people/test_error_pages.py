"""An error says what happened and what to do, in the look of the site."""

import pytest
from django.template.loader import render_to_string

pytestmark = pytest.mark.django_db


def test_what_is_not_there_says_where_to_go(client_for, stranger):
    response = client_for(stranger).get("/p/nowhere/")

    assert response.status_code == 404
    assert "There is no such page" in response.content.decode()


def test_what_is_not_allowed_says_who_can_help(client_for, alice):
    text = client_for(alice).get("/p/demo/jobs/").content.decode()

    assert "This is not open to you" in text
    assert "An admin can change your role" in text


def test_an_archived_project_says_why_it_refuses(client_for, carol, project):
    project.state = "archived"
    project.save()

    assert "This project is archived" in client_for(carol).post("/p/demo/jobs/new/freeze/").content.decode()


def test_a_crash_has_a_page_that_needs_no_database():
    assert "Nothing that you submitted before is lost" in render_to_string("500.html")
