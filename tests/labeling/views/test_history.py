"""What one has ranked is found again, and thought about a second time without losing the first."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from labeling.exports import freeze
from labeling.models import Assignment, DatasetRanking, Ranking
from people.models import Membership
from tests.factories import make_prompt, make_task
from tests.pages import one_line

pytestmark = pytest.mark.django_db

RANK = "/p/demo/rank/"
HISTORY = "/p/demo/rank/history/"
ORDER = {"rank-a": 2, "rank-b": 1, "rank-c": 2, "rank-d": 4}
OTHER = {"rank-a": 1, "rank-b": 2, "rank-c": 3, "rank-d": 4}


def rank_one(client, project, text="What is a podium?", **said):
    make_task(project, prompt=make_prompt(project, text))
    client.get(RANK)
    held = Assignment.objects.filter(project=project, state="leased").latest("pk")
    client.post(f"{RANK}{held.pk}/submit", ORDER | said)
    return held


@pytest.fixture
def page(client_for, alice, project):
    return client_for(alice)


@pytest.fixture
def done(page, project):
    return rank_one(page, project, note="quite sure")


def revise(page, assignment):
    return f"{RANK}{assignment.pk}/revise"


def current():
    return Ranking.objects.get(current=True)


def test_history_shows_what_was_said(page, done):
    html = page.get(HISTORY).content.decode()
    assert "What is a podium?" in html
    assert "B &gt; A = C &gt; D" in html
    assert "quite sure" in html


@pytest.mark.parametrize(
    ("words", "found"), [("podium", 1), ("PODIUM", 1), ("quite", 1), ("中文", 1), ("cheese", 0)]
)
def test_history_is_searched_in_prompts_and_notes(page, project, done, words, found):
    rank_one(page, project, text="用中文回答")
    html = page.get(HISTORY, {"q": words}).content.decode()
    assert html.count("/revise") == found


def test_history_is_ones_own(client_for, bob, done):
    client = client_for(bob)
    assert "podium?" not in client.get(HISTORY).content.decode()
    assert client.get(revise(client, done)).status_code == 404
    assert client.post(revise(client, done), OTHER).status_code == 404


def test_history_takes_the_same_queries_for_one_and_for_many(
    page, project, django_assert_num_queries
):
    rank_one(page, project)
    page.get(HISTORY)
    with django_assert_num_queries(9):
        page.get(HISTORY)
    for number in range(5):
        rank_one(page, project, text=f"Question {number}")
    with django_assert_num_queries(9):
        page.get(HISTORY)


def test_a_revision_counts_and_the_first_stays(page, done):
    assert page.post(revise(page, done), OTHER).url == HISTORY
    assert list(Ranking.objects.order_by("revision").values_list("revision", "current")) == [
        (1, False),
        (2, True),
    ]
    assert list(current().ranked.order_by("shown").values_list("rank", flat=True)) == [1, 2, 3, 4]
    assert done.task.free_places == 0


def test_a_revision_that_arrives_twice_counts_once(page, done):
    form = OTHER | {"key": "0a0b0c0d-0000-4000-8000-000000000000"}
    page.post(revise(page, done), form)
    page.post(revise(page, done), form)
    assert Ranking.objects.count() == 2


def test_the_form_opens_as_it_was_submitted(page, done):
    shown = page.get(revise(page, done)).context["typed"]
    assert shown["rank"] == {"a": 2, "b": 1, "c": 2, "d": 4}
    assert shown["note"] == "quite sure"


def test_a_half_typed_revision_is_found_again(page, done):
    page.post(
        f"{RANK}{done.pk}/draft", ORDER | {"revises": current().pk, "note": "on second thought"}
    )
    assert page.get(revise(page, done)).context["typed"]["note"] == "on second thought"
    assert current().note == "quite sure"


def test_an_incomplete_revision_is_refused_with_what_was_typed(page, done):
    response = page.post(revise(page, done), {"rank-a": 1, "note": "hm"})
    assert response.status_code == 422
    assert "has no rank yet" in response.content.decode()
    assert response.context["typed"]["note"] == "hm"


def test_undo_of_a_revision_brings_the_ranking_before_back(page, done):
    page.post(revise(page, done), OTHER)
    page.post(f"{RANK}undo", {"ranking": current().pk})
    assert current().revision == 1
    done.refresh_from_db()
    assert done.state == "submitted"


def test_after_both_are_undone_the_task_is_open_again(page, done):
    page.post(revise(page, done), OTHER)
    for _ in range(2):
        page.post(f"{RANK}undo", {"ranking": current().pk})
    done.refresh_from_db()
    assert done.state == "leased"
    assert page.get(revise(page, done)).url == HISTORY


def test_an_undo_and_another_submit_are_no_revision(page, done):
    for _ in range(2):
        page.post(f"{RANK}undo", {"ranking": current().pk})
        page.post(f"{RANK}{done.pk}/submit", ORDER)
    assert current().revision == 3
    assert [one.revisions for one in page.get(HISTORY).context["page"]] == [0]
    page.post(revise(page, done), OTHER)
    assert [one.revisions for one in page.get(HISTORY).context["page"]] == [1]


def test_undo_is_offered_to_who_may_undo(page, project, done, alice):
    def offered(address):
        return f'name="ranking" value="{current().pk}"' in one_line(page.get(address))

    assert (offered(HISTORY), offered(RANK)) == (True, True)
    Membership.objects.filter(user=alice).update(paused=True)
    assert (offered(HISTORY), offered(RANK)) == (False, False)
    Membership.objects.filter(user=alice).update(paused=False)
    project.state = "archived"
    project.save()
    assert (offered(HISTORY), offered(RANK)) == (False, False)
    project.state = "open"
    project.save()
    Ranking.objects.update(created_at=now() - timedelta(minutes=11))
    assert (offered(HISTORY), offered(RANK)) == (False, False)


def test_an_old_ranking_may_be_revised(page, done):
    Ranking.objects.update(created_at=now() - timedelta(days=90))
    page.post(revise(page, done), OTHER)
    assert current().revision == 2


def test_a_frozen_dataset_keeps_what_it_had(page, project, done, settings, tmp_path):
    settings.VAR = tmp_path
    before = freeze.freeze_now(None, project)
    page.post(revise(page, done), OTHER)
    after = freeze.freeze_now(None, project)
    assert [
        DatasetRanking.objects.get(dataset=one).ranking.revision for one in (before, after)
    ] == [1, 2]
    assert before.digest != after.digest


def test_an_archived_project_is_read_only(page, project, done):
    project.state = "archived"
    project.save()
    assert page.get(HISTORY).status_code == 200
    assert page.post(revise(page, done), OTHER).status_code == 403
