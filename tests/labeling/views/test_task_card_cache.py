"""The card of a task ahead is kept but for what is the task's own: it is the card made anew, to the
letter.
"""

import re

import pytest
from django.test import RequestFactory
from django.utils import translation

from labeling.queue import claims
from labeling.views import task_card_cache
from labeling.views.task_card import card
from people.models import Membership
from tests.factories import make_task

pytestmark = pytest.mark.django_db

RULES = {
    "ties": False,
    "rating": False,
    "notes": False,
    "strength": True,
    "flags": ["harmful_advice", "own <words>"],
    "span_labels": ["wrong", "un<safe>"],
    "asked": {
        "criteria": [
            {
                "pk": 1,
                "name": "helpfulness",
                "key": "helpfulness",
                "scope": "answer",
                "kind": "yes-no",
                "question": "Is it <helpful>?",
                "required": False,
                "labels": [],
            }
        ]
    },
}
OWN = {
    "shortcuts": False,
    "keys": {"skip": "q", "compare": "w"},
    "desk": {"layout": "stack", "source": True},
}


@pytest.fixture
def request_of(alice, project):
    def made(htmx=True):
        request = RequestFactory().get(
            "/p/demo/rank/1/ahead", headers={"HX-Request": "true"} if htmx else {}
        )
        request.htmx, request.user, request.project = htmx, alice, project
        return request

    return made


TEXTS = ["*good* {{ key }}", "fair\n\n    code", "poor"]


def lease(alice, project, k=3):
    make_task(project, texts=TEXTS[:k])
    return claims.next_for(Membership.objects.get(user=alice, project=project))


def text(response):
    """Without what is new each time: the form's key and the masks of the token."""
    html = response.content.decode()
    return re.sub(r'name="(key|csrfmiddlewaretoken)" value="[^"]+"', r'name="\1"', html)


@pytest.mark.parametrize("htmx", [True, False])
@pytest.mark.parametrize("change", [None, *RULES, *OWN])
def test_a_kept_card_is_the_card_made_anew(alice, project, request_of, change, htmx):
    place = lease(alice, project, k=2 if change == "strength" else 3)
    task_card_cache.fresh(request_of(), place)  # kept, by the rules of before
    if change in RULES:
        setattr(project.rules, change, RULES[change])
    elif change:
        setattr(alice, change, OWN[change])
    for _ in range(2):
        request = request_of(htmx)
        assert text(task_card_cache.fresh(request, place)) == text(
            card(request, place, {}, ahead=True)
        )


def test_each_fact_that_a_card_is_kept_by_is_changed_above():
    assert set(RULES) == set(task_card_cache.Rules._fields) - {"slug"}
    assert set(OWN) == set(task_card_cache.Person._fields)


def test_the_next_task_is_made_of_the_same_piece(alice, project, request_of):
    first = lease(alice, project)
    make_task(project, texts=["quite", "other", "texts"])
    second = claims.lease_ahead(Membership.objects.get(user=alice, project=project), first.pk)
    task_card_cache._frame.cache_clear()
    cards = [
        task_card_cache.fresh(request_of(), place).content.decode() for place in (first, second)
    ]
    assert task_card_cache._frame.cache_info().misses == 1
    assert ["quite" in html for html in cards] == [False, True]
    assert [f"/{second.pk}/submit" in html for html in cards] == [False, True]


def test_languages_are_kept_apart(alice, project, request_of):
    place = lease(alice, project)
    task_card_cache.fresh(request_of(), place)
    before = task_card_cache._frame.cache_info().misses
    with translation.override("de"):
        task_card_cache.fresh(request_of(), place)
    assert task_card_cache._frame.cache_info().misses == before + 1


def test_each_form_has_a_key_and_a_token_of_its_own_and_no_gap_is_left(alice, project, request_of):
    place = lease(alice, project)
    one, other = (task_card_cache.fresh(request_of(), place).content.decode() for _ in range(2))
    own = [
        set(re.findall(r'name="(?:key|csrfmiddlewaretoken)" value="([^"]+)"', html))
        for html in (one, other)
    ]
    assert len(own[0]) >= 2
    assert not own[0] & own[1]
    assert not task_card_cache.GAPS.search(one)
