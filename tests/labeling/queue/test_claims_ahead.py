"""The next task is leased ahead and its card waits in the browser; nothing about the queue changes
by it.
"""

import pytest

from labeling.models import Assignment, Ranking
from people.models import Membership, Project
from tests.factories import make_task
from tests.pages import one_line

pytestmark = pytest.mark.django_db

RANK = "/p/demo/rank/"
ORDER = {"rank-a": 1, "rank-b": 2, "rank-c": 3, "rank-d": 4}
HTMX = {"HX-Request": "true"}


@pytest.fixture
def tasks(project):
    return [make_task(project) for _ in range(3)]


@pytest.fixture
def page(client_for, alice, tasks):
    client = client_for(alice)
    client.get(RANK)
    return client


def at_hand():
    return Assignment.objects.get(state="leased", ahead=False)


def ahead():
    return Assignment.objects.get(ahead=True)


def fetch(page):
    return page.get(f"{RANK}{at_hand().pk}/ahead", headers=HTMX)


def submit(page, next_one="", **form):
    return page.post(
        f"{RANK}{at_hand().pk}/submit", ORDER | form, headers=HTMX | {"Podium-Next": str(next_one)}
    )


def test_the_card_after_this_one(page, tasks):
    response = fetch(page)
    assert ahead().task == tasks[1]
    assert response["Podium-Task"] == str(ahead().pk)
    assert f"/{ahead().pk}/submit" in response.content.decode()
    assert 'id="meters"' not in response.content.decode()


def test_the_card_after_this_one_shows_what_was_typed_into_it_before(page):
    fetch(page)
    Assignment.objects.filter(pk=ahead().pk).update(draft={"note": "half a thought"})
    assert "half a thought" in fetch(page).content.decode()


def test_asking_twice_leases_one(page):
    fetch(page)
    fetch(page)
    assert Assignment.objects.filter(state="leased").count() == 2


def test_a_reload_shows_the_task_at_hand(page, tasks):
    fetch(page)
    page.get(RANK)
    assert at_hand().task == tasks[0]


def test_a_place_given_back_and_leased_ahead_does_not_come_first(page, tasks):
    """Its row is older than that of the task at hand."""
    page.get(RANK)
    Assignment.objects.update(state="expired", leased_until=None)
    type(tasks[0]).objects.filter(pk=tasks[0].pk).update(free_places=0)
    page.get(RANK)
    type(tasks[0]).objects.filter(pk=tasks[0].pk).update(free_places=1)
    type(tasks[2]).objects.filter(pk=tasks[2].pk).update(free_places=0)
    fetch(page)
    assert (ahead().task, ahead().pk < at_hand().pk) == (tasks[0], True)
    assert f"/{at_hand().pk}/submit" in page.get(RANK).content.decode()


def test_a_submit_answers_with_what_changed_around_the_next_card(page, tasks):
    fetch(page)
    following = ahead()
    html = one_line(submit(page, following.pk))
    assert at_hand() == following
    assert "answer-a" not in html
    assert "<b>1</b> today" in html
    assert f'name="ranking" value="{Ranking.objects.get().pk}"' in html


def test_a_submit_that_arrives_twice_is_answered_the_same(page, tasks):
    fetch(page)
    first, following, key = at_hand(), ahead().pk, {"key": "0a0b0c0d-0000-4000-8000-000000000000"}
    one, again = (
        page.post(
            f"{RANK}{first.pk}/submit", ORDER | key, headers=HTMX | {"Podium-Next": str(following)}
        )
        for _ in "12"
    )
    assert Ranking.objects.count() == 1
    for html in (one_line(one), one_line(again)):
        assert "answer-a" not in html
        assert f'name="ranking" value="{Ranking.objects.get().pk}"' in html


def test_a_submit_without_javascript_finds_the_same_task(page, tasks):
    fetch(page)
    page.post(f"{RANK}{at_hand().pk}/submit", ORDER)
    page.get(RANK)
    assert at_hand().task == tasks[1]


@pytest.mark.parametrize("next_one", ["", "x", "999999", "²"])
def test_a_next_card_that_is_not_theirs_is_replaced(page, next_one):
    fetch(page)
    assert "answer-a" in submit(page, next_one).content.decode()


def test_a_next_card_that_went_to_another_is_replaced(page, tasks, client_for, bob):
    fetch(page)
    lost = ahead()
    Assignment.objects.filter(pk=lost.pk).update(state="returned", leased_until=None)
    html = submit(page, lost.pk).content.decode()
    assert "answer-a" in html
    assert f"/{lost.pk}/submit" not in html


def test_a_refused_submit_opens_nothing(page):
    fetch(page)
    response = page.post(
        f"{RANK}{at_hand().pk}/submit", {}, headers=HTMX | {"Podium-Next": str(ahead().pk)}
    )
    assert response.status_code == 422
    assert ahead()


def test_nothing_is_ahead_of_the_last_task(page, tasks):
    for task in tasks[1:]:
        task.delete()
    assert fetch(page).status_code == 204


def test_nobody_who_is_paused_is_given_one_ahead(page, alice):
    Membership.objects.filter(user=alice).update(paused=True)
    assert fetch(page).status_code == 204
    Membership.objects.filter(user=alice).update(paused=False)
    Project.objects.update(state="paused")
    assert fetch(page).status_code == 204


def test_being_at_it_keeps_both(page):
    fetch(page)
    before = ahead().leased_until
    page.post(f"{RANK}{at_hand().pk}/draft", {"renew": "1"})
    assert ahead().leased_until > before


def test_an_undone_task_comes_before_the_one_ahead(page, tasks):
    fetch(page)
    submit(page, ahead().pk)
    page.post(f"{RANK}undo", {"ranking": Ranking.objects.get().pk})
    assert f"/{Assignment.objects.get(task=tasks[0]).pk}/submit" in page.get(RANK).content.decode()
