"""The page of components: every state of them, made of the real templates and of nothing in the
database.
"""

import pytest
from django.test import Client

from labeling.models import Assignment, Ranking
from labeling.views.styleguide import CARDS
from modelops.models import Job
from tests.pages import one_line

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("card", CARDS)
def test_it_asks_the_database_only_who_looks(client_for, stranger, django_assert_num_queries, card):
    client = client_for(stranger)
    with django_assert_num_queries(2):  # the session and the user
        response = client.get("/components/", {"card": card})

    assert response.status_code == 200


def test_it_shows_every_state(client_for, stranger):
    html = one_line(client_for(stranger).get("/components/"))

    for state in Job.State.values:
        assert f'class="state {state}"' in html
    for level in ("info", "success", "warning", "error"):
        assert f'class="message {level}"' in html
    for outcome, name in Ranking.Outcome.choices:
        assert f'value="{outcome}"' in html, name
    assert html.count('<article class="answer') == 6
    assert html.count('<article class="answer wrong"') == 1
    assert 'class="errorlist"' in html


def test_a_visitor_is_asked_to_log_in(db):
    assert Client().get("/components/").url == "/login/?next=/components/"


def test_what_is_pressed_without_javascript_changes_nothing(client_for, alice):
    client = client_for(alice)

    assert client.post("/p/-/rank/0/submit").status_code == 404
    assert not Assignment.objects.exists()
