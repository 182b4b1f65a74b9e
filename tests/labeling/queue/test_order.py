"""Which task comes next, and to whom it comes back."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from labeling import project_settings
from labeling.judging import judgment, rankings
from labeling.models import Assignment, QueuePosition
from labeling.quality import gold
from labeling.queue import claims, leases
from labeling.queue.eligibility import NotWorking
from people import accounts, projects
from people.models import Membership
from tests.factories import make_task

pytestmark = pytest.mark.django_db
JUDGMENT = judgment.Judgment({"a": judgment.Verdict(rank=1), "b": judgment.Verdict(rank=2)})


def of(person) -> Membership:
    return Membership.objects.select_related("project", "user").get(user=person)


def tasks(project, count=1, **fields):
    return [make_task(project, texts=["a", "b"], **fields) for _ in range(count)]


def rank_next(person):
    held = claims.next_for(of(person))
    return held and rankings.submit(held, JUDGMENT)


def test_an_urgent_task_is_next_for_those_who_had_passed_its_place(project, alice):
    tasks(project, 2)
    rank_next(alice)
    (urgent,) = tasks(project, priority=-1)

    assert claims.next_for(of(alice)).task == urgent
    assert QueuePosition.objects.get().sort_key == urgent.sort_key


def test_an_undone_task_is_shown_before_the_one_that_was_opened_since(project, alice):
    first, second = tasks(project, 2)
    leases.give_back(claims.next_for(of(alice)))  # the first task's row is older than the second's
    Assignment.objects.update(state="skipped")
    submitted = rank_next(alice)
    Assignment.objects.filter(task=first).update(state="returned")
    opened_since = claims.next_for(of(alice))
    assert opened_since.task == first

    undone = rankings.undo(submitted)

    assert undone.task == second
    assert claims.next_for(of(alice)) == undone
    rankings.submit(undone, JUDGMENT)
    assert claims.next_for(of(alice)) == opened_since, "the other lease is kept meanwhile"


@pytest.mark.parametrize("what", ["member", "account"])
def test_who_is_paused_can_not_undo_and_so_hold_a_task(project, alice, carol, what):
    tasks(project)
    submitted = rank_next(alice)
    projects.pause(carol, of(alice)) if what == "member" else accounts.pause(carol, alice)

    with pytest.raises(rankings.TooLate, match="paused"):
        rankings.undo(submitted)
    assert Assignment.objects.get().state == "submitted"


def test_a_request_on_its_way_while_the_account_is_paused_gets_nothing(project, alice, carol):
    tasks(project)
    accounts.pause(carol, alice)

    with pytest.raises(NotWorking):
        claims.next_for(of(alice))
    assert not Assignment.objects.exists()


def test_a_claim_that_finds_a_task_submitted_meanwhile_leaves_it_so(project, alice):
    """Two windows: one submits late while the other one waits for the same task."""
    (task,) = tasks(project, overlap=2)
    rankings.submit(claims.next_for(of(alice)), JUDGMENT)

    assert claims._lease(task.pk, project, alice) is None
    assert Assignment.objects.get().state == "submitted"


def test_a_claim_takes_few_statements(project, alice):
    tasks(project, 3)
    rank_next(alice)
    with CaptureQueriesContext(connection) as ran:
        assert claims.claim(of(alice))
    assert len(ran) <= 15, [query["sql"] for query in ran.captured_queries]


def test_gold_costs_a_claim_nothing_where_none_is_wanted_and_one_query_where_it_is_drawn(
    project, alice, carol, monkeypatch
):
    monkeypatch.setattr(claims, "drawn", lambda percent: True)
    tasks(project, 3)
    rank_next(alice)

    def queries(share) -> int:
        project_settings.change(carol, project, gold_share=share)
        with CaptureQueriesContext(connection) as ran:
            leases.give_back(claims.claim(of(alice)))
        return len(ran)

    queries(0)  # from now on it is always the same task, with its row
    without = queries(0)
    (golden,) = tasks(project)
    gold.make(carol, golden, JUDGMENT)
    assert queries(0) == without
    Assignment.objects.create(
        task=golden, labeler=alice, project=project, state="skipped", place=0, order=[]
    )
    assert queries(50) == without + 1


def test_a_lease_that_ran_out_is_freed_by_who_finds_nothing_else(project, alice, bob):
    (task,) = tasks(project)
    held = claims.next_for(of(bob))
    Assignment.objects.filter(pk=held.pk).update(leased_until=now() - timedelta(seconds=1))

    assert claims.next_for(of(alice)).task == task


def places_taken(project) -> list[int]:
    return [task.overlap - task.free_places for task in project.tasks.order_by("pk")]


def test_depth_first_completes_a_task_before_the_next_is_opened(project, alice, bob):
    tasks(project, 3, overlap=2)
    for person in (alice, bob, alice):
        rank_next(person)

    assert places_taken(project) == [2, 1, 0]


def test_breadth_first_gives_each_task_its_first_labeler_before_any_gets_its_second(
    project, alice, bob, carol
):
    project_settings.change(carol, project, completion="breadth")
    tasks(project, 3, overlap=2)
    for person in (alice, bob, alice):
        rank_next(person)
    assert places_taken(project) == [1, 1, 1]

    rank_next(bob)
    assert places_taken(project) == [2, 1, 1]


def test_an_urgent_task_gets_all_its_labelers_first_also_where_breadth_comes_first(
    project, alice, bob, carol
):
    project_settings.change(carol, project, completion="breadth")
    tasks(project, 1, overlap=2)
    tasks(project, 1, overlap=2, priority=-1)
    for person in (alice, bob):
        rank_next(person)

    assert places_taken(project) == [0, 2]


def test_a_place_that_reopens_is_back_in_its_round(project, alice, bob, carol):
    project_settings.change(carol, project, completion="breadth")
    first, *_others = tasks(project, 3, overlap=2)
    held = claims.next_for(of(alice))
    rank_next(bob)
    leases.skip(held, "not mine")

    assert claims.next_for(of(bob)).task == first


def test_the_order_can_change_at_any_time(project, alice, bob, carol):
    """Three tasks have their first labeler; then depth is asked for, and they are completed one by
    one.
    """
    project_settings.change(carol, project, completion="breadth")
    tasks(project, 3, overlap=2)
    for _ in range(3):
        rank_next(alice)
    tasks(project, 1, overlap=2)
    project_settings.change(carol, project, completion="depth")
    rank_next(bob)
    assert places_taken(project) == [2, 1, 1, 0]

    project_settings.change(carol, project, completion="breadth")
    rank_next(bob)
    assert places_taken(project) == [2, 1, 1, 1]
