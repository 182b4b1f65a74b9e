"""The forms of an answer key and of an adjudication keep what was typed, for who typed it, until it
is saved.
"""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from labeling import erasure
from labeling.judging import form_drafts, rankings
from labeling.models import Assignment, FormDraft, Ranking, RankingTask
from tests.factories import make_job, make_person, make_ranking, make_task

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_slot_order")]

HALF = {
    "rank-a": 1,
    "rank-b": 2,
    "rating-c": 6,
    "flags-d": "hallucination",
    "note": "half a thought",
    "order": "ab",
}
WHOLE = {"rank-a": 1, "rank-b": 2, "rank-c": 3, "rank-d": 4}


@pytest.fixture
def task(project, alice, bob):
    """Two people saw it differently: it can be settled, and it can be made gold."""
    task = make_task(project, overlap=2, job=make_job(project))
    make_ranking(task, alice, ranks=[1, 2, 3, 4])
    task.refresh_from_db()
    make_ranking(task, bob, ranks=[4, 3, 2, 1])
    return task


@pytest.fixture
def dave(project):
    return make_person(project, "admin", "dave")


@pytest.fixture(params=["gold", "settle"])
def address(request, task):
    return f"/p/demo/tasks/{task.pk}/{request.param}"


def typed(client, address):
    return client.get(address).context["typed"]


def test_what_is_half_typed_is_there_again_for_who_typed_it(client_for, carol, dave, address):
    carols = client_for(carol)
    assert carols.post(f"{address}/draft", HALF).status_code == 200
    again = typed(client_for(carol), address)
    assert again["rank"] == {"a": 1, "b": 2}
    assert again["rating"] == {"c": 6}
    assert again["flags"] == {"d": ["hallucination"]}
    assert (again["note"], again["order"]) == ("half a thought", "ab")
    assert typed(client_for(dave), address) == {}
    assert not Ranking.objects.filter(kind__in=Ranking.FOR_ALL).exists()


def test_a_form_that_is_refused_keeps_what_was_typed(client_for, carol, address):
    browser = client_for(carol)
    assert browser.post(address, HALF).status_code == 422
    assert typed(browser, address)["note"] == "half a thought"


def test_what_is_saved_takes_the_place_of_the_draft(client_for, carol, address):
    browser = client_for(carol)
    browser.post(f"{address}/draft", HALF)
    browser.post(address, WHOLE)
    assert not FormDraft.objects.exists()
    assert typed(browser, address)["rank"] == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_a_draft_is_shown_while_nobody_has_saved_since(client_for, carol, dave, address):
    client_for(dave).post(address, WHOLE)
    browser = client_for(carol)
    browser.post(f"{address}/draft", HALF)
    assert typed(browser, address)["note"] == "half a thought"
    FormDraft.objects.update(saved_at=now() - timedelta(minutes=5))
    assert typed(browser, address)["note"] == ""


def test_a_sign_of_life_writes_over_nothing(client_for, carol, address):
    browser = client_for(carol)
    browser.post(f"{address}/draft", HALF)
    assert browser.post(f"{address}/draft", {"renew": "1"}).json() == {"renewed": True}
    assert typed(browser, address)["note"] == "half a thought"


def test_the_two_forms_of_a_task_have_a_draft_each(client_for, carol, task):
    browser = client_for(carol)
    browser.post(f"/p/demo/tasks/{task.pk}/gold/draft", HALF)
    assert typed(browser, f"/p/demo/tasks/{task.pk}/settle") == {}


def test_who_may_not_open_the_form_keeps_no_draft(client_for, alice, stranger, address):
    assert client_for(alice).post(f"{address}/draft", HALF).status_code == 403
    assert client_for(stranger).post(f"{address}/draft", HALF).status_code == 404
    assert client_for(alice).get(f"{address}/draft").status_code == 403
    assert not FormDraft.objects.exists()


def test_where_somebody_is_at_the_task_again_the_page_is_told(client_for, carol, task):
    Assignment.objects.create(
        task=task,
        labeler=make_person(task.project),
        project=task.project,
        place=2,
        order=[],
        leased_until=now() + timedelta(hours=1),
    )
    assert client_for(carol).post(f"/p/demo/tasks/{task.pk}/settle/draft", HALF).status_code == 409


def test_what_cannot_be_settled_any_more_is_not_lost(client_for, carol, task):
    browser, address = client_for(carol), f"/p/demo/tasks/{task.pk}/settle"
    Ranking.objects.filter(task=task).latest("pk").delete()
    assert browser.post(address, WHOLE).url == "/p/demo/settle/"
    assert FormDraft.objects.get().draft["rank"] == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_an_erasure_takes_the_persons_drafts(project, carol, dave, task):
    for person in (carol, dave):
        form_drafts.save(rankings.sheet(task, person), Ranking.Kind.GOLD, {"note": "x"})
    erasure.erase(carol, project, dave, "asked for")
    assert FormDraft.objects.get().person == carol
    assert RankingTask.objects.filter(pk=task.pk).exists()
