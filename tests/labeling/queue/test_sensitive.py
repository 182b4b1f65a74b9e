"""Sensitive prompts are for people who said that they are willing to judge them."""

import pytest

from labeling import imports
from labeling.judging import judgment, rankings
from labeling.models import Prompt
from labeling.quality import gold
from labeling.queue import claims
from labeling.queue.sensitive import mark_sensitive
from labeling.writing import drafts, requests
from people import accounts
from people.models import AuditEvent, Membership
from tests.factories import make_prompt, make_task

pytestmark = pytest.mark.django_db
KEY = judgment.Judgment(
    {letter: judgment.Verdict(rank=place) for place, letter in enumerate("abcd", 1)}
)


@pytest.fixture
def harsh(project):
    return make_task(project, prompt=make_prompt(project, sensitive=True))


@pytest.fixture
def mild(project, harsh):
    """It comes after the sensitive one."""
    return make_task(project)


def given(person):
    held = claims.next_for(Membership.objects.select_related("project", "user").get(user=person))
    return held and held.task


def test_who_is_not_willing_is_given_the_next_one(harsh, mild, alice, bob):
    bob.sensitive = True
    bob.save()

    assert given(alice) == mild
    assert given(bob) == harsh


def test_the_page_says_what_is_kept_back_and_a_change_of_mind_brings_it(
    harsh, client_for, alice, django_capture_on_commit_callbacks
):
    browser = client_for(alice)
    assert "sensitive content are open too" in browser.get("/p/demo/rank/").content.decode()

    with django_capture_on_commit_callbacks(execute=True):
        accounts.change(alice, alice, sensitive=True)
    assert given(alice) == harsh


def test_an_admin_marks_a_prompt_and_takes_it_back(client_for, carol, alice, mild):
    browser, at = client_for(carol), f"/p/demo/prompts/{mild.prompt_id}/sensitive"
    for _ in range(2):
        browser.post(at, {"sensitive": "1"})
    assert Prompt.objects.get(pk=mild.prompt_id).sensitive
    assert (
        "Offer it to everybody"
        in browser.get(f"/p/demo/prompts/{mild.prompt_id}/").content.decode()
    )
    assert AuditEvent.objects.filter(verb="mark sensitive").count() == 1


def test_what_is_sensitive_no_more_is_offered_to_who_had_passed_it(project, carol, alice):
    harsh = make_task(project, prompt=make_prompt(project, sensitive=True))
    mild = make_task(project)
    assert given(alice) == mild
    rankings.submit(claims.next_for(Membership.objects.get(user=alice)), KEY)
    assert given(alice) is None

    mark_sensitive(carol, harsh.prompt, False)
    assert given(alice) == harsh


def test_gold_tasks_are_no_way_round(project, harsh, carol, alice, monkeypatch):
    gold.make(carol, harsh, KEY)
    project.rules.gold_share = 50
    project.rules.save()
    monkeypatch.setattr(claims, "drawn", lambda percent: True)
    mild = make_task(project)

    assert given(alice) == mild


def test_nobody_unwilling_is_asked_to_answer_one(project, carol, alice, bob):
    make_prompt(project, sensitive=True)
    bob.sensitive = True
    bob.save()
    requests.ask_demonstrations(carol, project, 1, "train")

    assert drafts.next_for(Membership.objects.get(user=alice)) is None
    assert drafts.next_for(Membership.objects.get(user=bob)).prompt.sensitive


@pytest.mark.parametrize(
    ("said", "kept"), [(True, True), ("yes", True), ("false", False), (None, False)]
)
def test_a_file_may_say_it(project, carol, said, kept):
    imports.add(carol, project, [{"prompt": "Hm?"} | ({} if said is None else {"sensitive": said})])

    assert Prompt.objects.get().sensitive is kept


def test_a_file_that_says_something_else_is_refused(project, carol):
    _tally, refused = imports.add(carol, project, [{"prompt": "Hm?", "sensitive": "perhaps"}])

    assert "true or false" in refused[0]["detail"]
