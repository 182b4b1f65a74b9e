"""Whoever has seen what others decided or said about a task gets no place on it."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.judging import judgment, rankings, reviews, threads
from labeling.models import Assignment, ProjectRules, Ranking, Seen
from labeling.quality import gold
from labeling.queue import claims, leases, reservations, seen
from people.models import Membership
from tests.factories import make_person, make_task

pytestmark = pytest.mark.django_db
API = "/api/v1/projects/demo/"
FOUR = judgment.Judgment(
    {letter: judgment.Verdict(rank=place) for place, letter in enumerate("abcd", 1)}
)


def next_for(person) -> Assignment | None:
    return claims.next_for(Membership.objects.select_related("project", "user").get(user=person))


def rank_next(person) -> Ranking:
    return rankings.submit(next_for(person), FOUR)


@pytest.fixture
def lena(project):
    """A lead, who ranks too."""
    return make_person(project, "lead", "lena")


@pytest.fixture
def ranked(project, alice):
    """A ranking by alice; the task has a place for everybody."""
    make_task(project, overlap=5)
    return rank_next(alice)


@pytest.fixture
def thread(ranked):
    return threads.open_on(ranked.assignment, "Is B what was meant?")


def answered(client, path):
    response = client.get(path)
    assert response.status_code == 200, response.content
    return response


READ = {
    "a ranking": lambda ranking: f"{API}rankings/{ranking.pk}",
    "a list of rankings": lambda ranking: f"{API}rankings",
    "reviews": lambda ranking: f"{API}rankings/{ranking.pk}/reviews",
    "a thread": lambda ranking: f"{API}threads/{ranking.task.threads.get().pk}",
}
READ_OF_DISPUTED = {
    "an adjudication": lambda ranking: f"{API}tasks/{ranking.task_id}/settle",
    "its form": lambda ranking: f"/p/demo/tasks/{ranking.task_id}/settle",
}
READ_BY_ADMINS = {
    "the prompt's page": lambda ranking: f"/p/demo/prompts/{ranking.task.prompt_id}/",
    "the back office: a ranking": lambda ranking: reverse(
        "admin:labeling_ranking_change", args=[ranking.pk]
    ),
    "the back office: a thread": lambda ranking: reverse(
        "admin:labeling_thread_change", args=[ranking.task.threads.get().pk]
    ),
}
NOT_SEEING = ["threads", "disputes", "agreement", "threads?open=true", "rankings?mine=true"]


@pytest.mark.parametrize("what", READ)
def test_who_has_read_it_gets_no_place(client_for, lena, bob, ranked, thread, what):
    answered(client_for(lena), READ[what](ranked))

    assert next_for(lena) is None
    assert next_for(bob).task_id == ranked.task_id, "who has read nothing does"


@pytest.mark.parametrize("what", READ_OF_DISPUTED)
def test_who_has_read_what_is_adjudicated_gets_no_place(
    client_for, project, lena, alice, bob, what
):
    task = make_task(project, overlap=1)
    ranking = rank_next(alice)
    answered(client_for(lena), READ_OF_DISPUTED[what](ranking))
    task.refresh_from_db()
    type(task).objects.filter(pk=task.pk).update(overlap=3, free_places=2)

    assert next_for(lena) is None
    assert next_for(bob).task == task


@pytest.mark.parametrize("what", READ_BY_ADMINS)
def test_an_admin_who_has_read_it_gets_no_place(client_for, carol, bob, ranked, thread, what):
    carol.is_staff = True
    carol.save()
    answered(client_for(carol), READ_BY_ADMINS[what](ranked))

    assert next_for(carol) is None
    assert next_for(bob).task_id == ranked.task_id


@pytest.mark.parametrize("path", NOT_SEEING)
def test_what_says_nothing_of_others_judgments_is_no_seeing(client_for, lena, ranked, thread, path):
    answered(client_for(lena), API + path)

    assert next_for(lena).task_id == ranked.task_id


def test_a_researcher_who_becomes_a_labeler_has_seen_what_they_read(client_for, project, ranked):
    rita = make_person(project, "researcher", "rita")
    answered(client_for(rita), f"{API}rankings")
    Membership.objects.filter(user=rita).update(role="labeler")

    assert next_for(rita) is None


@pytest.mark.parametrize("role", ["researcher", "admin"])
def test_an_answer_key_is_a_judgment(client_for, project, carol, role):
    task = make_task(project, overlap=5)
    gold.make(carol, task, FOUR)
    reader = make_person(project, role, "reader")
    answered(client_for(reader), f"{API}tasks/{task.pk}")
    gold.unmake(carol, task)
    Membership.objects.filter(user=reader).update(role="labeler")

    assert next_for(reader) is None


def test_the_key_in_the_admin_s_form_is_a_judgment(client_for, project, carol):
    task = make_task(project, overlap=5)
    gold.make(carol, task, FOUR)
    other = make_person(project, "admin", "other")
    answered(client_for(other), f"/p/demo/tasks/{task.pk}/gold")
    gold.unmake(carol, task)

    assert next_for(other) is None


def test_a_gold_task_that_one_has_seen_is_not_given(project, lena, alice, carol, monkeypatch):
    monkeypatch.setattr(claims, "drawn", lambda percent: True)
    ProjectRules.objects.update(gold_share=50)
    golden, plain = make_task(project, overlap=3), make_task(project, overlap=3)
    gold.make(carol, golden, FOUR)
    seen.note(lena, [golden.pk])

    assert next_for(alice).task == golden
    assert next_for(lena).task == plain


def test_a_task_that_was_reserved_for_who_has_seen_it_is_listed_as_stuck(project, lena):
    task = make_task(project)
    reservations.reserve(None, task, member=Membership.objects.get(user=lena))
    assert not reservations.stuck(project).exists()

    seen.note(lena, [task.pk])
    assert reservations.stuck(project).get() == task
    assert next_for(lena) is None


def test_ones_own_rankings_and_threads_are_no_seeing(client_for, alice, ranked, thread):
    for path in ("rankings", f"rankings/{ranked.pk}", f"threads/{thread.pk}", "threads"):
        answered(client_for(alice), API + path)

    assert not Seen.objects.exists()


def test_who_was_answered_is_not_given_the_task_again(project, alice, bob, carol):
    make_task(project, overlap=3)
    held = next_for(alice)
    threads.say(carol, threads.open_on(held, "What is a podium?"), "A place to stand on.")
    leases.give_back(held, alice)

    assert next_for(alice) is None
    assert next_for(bob).task == held.task


def test_who_holds_a_place_keeps_it(client_for, project, lena, ranked):
    held = next_for(lena)
    answered(client_for(lena), f"{API}rankings/{ranked.pk}")

    assert next_for(lena) == held
    assert rankings.submit(held, FOUR).prompted


def test_a_claim_asks_for_it_in_no_query_of_its_own(project, bob, lena):
    tasks = [make_task(project, overlap=3) for _ in range(3)]
    next_for(make_person(project))  # compiles what is compiled once

    def queries_of_claim(person) -> list[str]:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert next_for(person)
        return [(query["sql"] or "") for query in captured]

    of_blind = queries_of_claim(bob)
    seen.note(lena, [task.pk for task in tasks[:2]])
    of_lead = queries_of_claim(lena)

    asked = [sql for sql in of_blind if "labeling_seen" in sql]
    assert len(asked) == 1
    assert "labeling_rankingtask" in asked[0], "the query that looks for a task"
    assert len(of_lead) == len(of_blind)


def test_a_submit_asks_for_it_in_no_query_of_its_own(project, bob):
    make_task(project)
    held = next_for(bob)
    with CaptureQueriesContext(connection) as captured:
        rankings.submit(held, FOUR)

    asked = [(query["sql"] or "") for query in captured if "labeling_seen" in (query["sql"] or "")]
    assert len(asked) == 1
    assert "labeling_ranking" in asked[0], "the query that reads the last revision"


def test_a_page_that_is_read_again_writes_nothing(client_for, lena, ranked):
    client = client_for(lena)
    answered(client, f"{API}rankings")
    at = Seen.objects.get().at
    with CaptureQueriesContext(connection) as captured:
        answered(client, f"{API}rankings")

    assert not [query for query in captured if (query["sql"] or "").startswith("INSERT")]
    assert Seen.objects.get().at == at


def test_tasks_that_were_seen_are_passed_over_for_good(project, lena, alice):
    """The labeler's position moves beyond them, so that they are not looked at again."""
    tasks = [make_task(project, overlap=3) for _ in range(3)]
    seen.note(lena, [task.pk for task in tasks[:2]])

    assert next_for(lena).task == tasks[2]
    review = rank_next(alice)
    assert review.task == tasks[0]
    reviews.review(lena, review, "agree")
    assert Seen.objects.filter(task=tasks[0], person=lena).count() == 1
