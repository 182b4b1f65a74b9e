"""Tasks that are reserved for one person or a group: nobody else is given them."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.utils import IntegrityError
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from labeling import project_settings
from labeling.judging import judgment, rankings
from labeling.models import Assignment, GroupMember, QueuePosition, RankingTask
from labeling.quality import gold
from labeling.queue import claims, groups, leases, reservations
from people import accounts, projects
from people.access import Refused
from people.models import AuditEvent, Membership
from tests.factories import make_person, make_project, make_prompt, make_task

pytestmark = pytest.mark.django_db
JUDGMENT = judgment.Judgment({"a": judgment.Verdict(rank=1), "b": judgment.Verdict(rank=2)})


def of(person) -> Membership:
    return Membership.objects.select_related("project", "user").get(user=person)


def tasks(project, count=1, **fields):
    return [make_task(project, texts=["a", "b"], **fields) for _ in range(count)]


def rank_next(person):
    held = claims.next_for(of(person))
    return held and rankings.submit(held, JUDGMENT).task


@pytest.fixture
def group(project, carol, bob):
    return groups.create(carol, project, "Physicians", [of(bob)])


@pytest.fixture
def for_bob(carol, bob, group):
    """Reserves a task for bob, in each way that there is."""
    ways = {"person": {"member": of(bob)}, "group": {"group": group}}
    return lambda task, way: reservations.reserve(carol, task, **ways[way])


ways = pytest.mark.parametrize("way", ["person", "group"])
orders = pytest.mark.parametrize("completion", ["depth", "breadth"])


@ways
@orders
def test_only_those_whom_it_is_reserved_for_are_given_a_task(
    project, alice, bob, carol, for_bob, way, completion
):
    project_settings.change(carol, project, completion=completion)
    (first, second) = tasks(project, 2)
    for_bob(first, way)

    assert rank_next(alice) == second
    assert rank_next(alice) is None
    assert rank_next(bob) == first


@ways
@orders
def test_what_is_reserved_comes_in_its_place_in_the_order(
    project, bob, carol, for_bob, way, completion
):
    project_settings.change(carol, project, completion=completion)
    before, between, urgent = *tasks(project, 2), *tasks(project, 1, priority=-1)
    after = tasks(project)[0]
    for_bob(between, way)
    for_bob(urgent, way)

    assert [rank_next(bob) for _ in range(5)] == [urgent, before, between, after, None]


def test_people_in_several_groups_get_the_earliest_task_of_all(project, bob, carol, group):
    second_group = groups.create(carol, project, "Lawyers", [of(bob)])
    made = tasks(project, 4)
    for task, its_group in zip(made, [second_group, group, second_group, group], strict=True):
        reservations.reserve(carol, task, group=its_group)

    assert [rank_next(bob) for _ in range(5)] == [*made, None]


@ways
def test_who_had_passed_a_task_is_given_it_once_it_is_reserved_for_them_or_for_nobody(
    project, alice, bob, carol, for_bob, way
):
    (first, *_others) = tasks(project, 4)
    reservations.reserve(carol, first, member=of(carol))
    rank_next(alice)
    rank_next(bob)

    for_bob(first, way)
    assert rank_next(bob) == first

    (second,) = tasks(project, 1, priority=-1)
    reservations.reserve(carol, second, member=of(carol))
    rank_next(alice)
    reservations.reserve(carol, second)
    assert rank_next(alice) == second


def test_a_new_member_of_a_group_looks_from_the_front(project, alice, bob, carol, group):
    first, second, third = tasks(project, 3)
    reservations.reserve(carol, first, group=group)
    assert rank_next(alice) == second
    assert QueuePosition.objects.get(labeler=alice).sort_key == second.sort_key

    groups.change(carol, group, members=[of(alice), of(bob)])

    assert rank_next(alice) == first
    assert rank_next(alice) == third


def test_who_leaves_a_group_keeps_what_they_hold_and_gets_no_more(project, bob, carol, group):
    first, second = tasks(project, 2)
    for task in (first, second):
        reservations.reserve(carol, task, group=group)
    held = claims.next_for(of(bob))

    groups.change(carol, group, members=[])

    assert claims.next_for(of(bob)) == held
    assert rankings.submit(held, JUDGMENT).current
    assert rank_next(bob) is None
    assert list(reservations.stuck(project)) == [second]


def test_who_is_added_to_the_project_again_is_in_their_groups_as_before(project, bob, carol, group):
    (task,) = tasks(project)
    reservations.reserve(carol, task, group=group)
    projects.remove_member(carol, of(bob))
    assert list(reservations.stuck(project)) == [task]
    assert not groups.members_of(group).exists()
    groups.change(carol, group, members=[of(carol)])

    projects.add_member(carol, project, bob.email, "labeler")

    assert list(groups.members_of(group).order_by("pk")) == [of(carol), of(bob)]
    assert rank_next(bob) == task


@ways
def test_who_holds_a_place_keeps_it_and_a_late_one_has_lost_it(project, alice, carol, for_bob, way):
    first, second = tasks(project, 2)
    held = claims.next_for(of(alice))
    for_bob(first, way)
    assert rankings.submit(held, JUDGMENT).current

    late = claims.next_for(of(alice))
    for_bob(second, way)
    Assignment.objects.filter(pk=late.pk).update(leased_until=now() - timedelta(seconds=1))
    leases.expire()
    with pytest.raises(claims.LeaseLost):
        rankings.submit(late, JUDGMENT)
    assert RankingTask.objects.get(pk=second.pk).free_places == 1, "the place is kept for bob"


@ways
def test_a_reserved_gold_task_is_for_those_alone(
    project, alice, bob, carol, for_bob, way, monkeypatch
):
    monkeypatch.setattr(claims, "drawn", lambda percent: True)
    project_settings.change(carol, project, gold_share=50)
    golden, *others = tasks(project, 3, overlap=2)
    gold.make(carol, golden, JUDGMENT)
    for_bob(golden, way)

    assert rank_next(alice) == others[0]
    assert rank_next(bob) == golden


def test_a_sensitive_task_is_not_given_to_who_is_unwilling_though_it_is_reserved_for_them(
    project, bob, carol
):
    (task,) = tasks(project, prompt=make_prompt(project, sensitive=True))
    reservations.reserve(carol, task, member=of(bob))

    assert rank_next(bob) is None
    assert claims.what_else(of(bob))["sensitive"]
    assert not claims.what_else(of(carol))["sensitive"], "it is reserved for somebody else"
    assert list(reservations.stuck(project)) == [task]


def test_what_others_hold_is_not_awaited_where_it_is_reserved_for_them(project, alice, bob, carol):
    first, second = tasks(project, 2)
    reservations.reserve(carol, first, member=of(bob))
    reservations.reserve(carol, second, member=of(alice))
    claims.next_for(of(bob))

    assert claims.held_by_others(of(alice)) == {"others": 0, "free_at": None}
    reservations.reserve(carol, first)
    assert claims.held_by_others(of(alice))["others"] == 1


# What nobody can be given


@ways
@pytest.mark.parametrize("cause", ["removed", "paused", "account", "role", "skipped"])
def test_a_task_is_stuck_when_nobody_is_left_who_could_be_given_it(
    project, alice, bob, carol, for_bob, way, cause
):
    first, other = tasks(project, 2)
    reservations.reserve(carol, other, member=of(alice))
    for_bob(first, way)
    assert not reservations.stuck(project).exists()
    if cause == "removed":
        projects.remove_member(carol, of(bob))
    elif cause == "paused":
        projects.pause(carol, of(bob))
    elif cause == "account":
        accounts.pause(carol, bob)
    elif cause == "role":
        projects.change_role(carol, of(bob), "researcher")
    else:
        leases.skip(claims.next_for(of(bob)), "not my subject")

    assert list(reservations.stuck(project)) == [first]
    reservations.reserve(carol, first, member=of(alice))
    assert not reservations.stuck(project).exists()


def test_a_second_place_that_is_reserved_for_one_person_is_stuck_once_they_have_ranked(
    project, bob, carol
):
    (task,) = tasks(project, overlap=2)
    reservations.reserve(carol, task, member=of(bob))
    assert rank_next(bob) == task

    assert list(reservations.waiting(project)) == list(reservations.stuck(project)) == [task]


def test_a_group_is_stuck_only_when_all_its_members_are(project, alice, bob, carol, group):
    groups.change(carol, group, members=[of(alice), of(bob)])
    (task,) = tasks(project, overlap=3)
    reservations.reserve(carol, task, group=group)
    rank_next(alice)
    assert not reservations.stuck(project).exists()
    rank_next(bob)
    assert list(reservations.stuck(project)) == [task]


def test_nothing_is_stuck_that_is_not_offered(project, bob, carol):
    full, aside = tasks(project, 2)
    for task in (full, aside):
        reservations.reserve(carol, task, member=of(bob))
    rank_next(bob)
    RankingTask.objects.filter(pk=aside.pk).update(state="set_aside", sort_key=None)
    projects.remove_member(carol, of(bob))

    assert not reservations.waiting(project).exists()
    assert not reservations.stuck(project).exists()


# Actions


def test_a_reservation_leaves_one_event_however_often_it_is_made(project, bob, carol, group):
    (task,) = tasks(project)
    for _ in range(2):
        reservations.reserve(carol, task, member=of(bob))
    reservations.reserve(carol, task, group=group)
    reservations.reserve(carol, task)

    events = AuditEvent.objects.filter(verb="reserve").order_by("pk").values_list("data", flat=True)
    assert list(events) == [
        {"user": bob.pk, "group": None},
        {"user": None, "group": group.pk},
        {"user": None, "group": None},
    ]


def test_a_task_is_not_reserved_for_who_does_not_rank(project, carol):
    (task,) = tasks(project)
    researcher = make_person(project, "researcher")
    with pytest.raises(Refused, match="does not rank"):
        reservations.reserve(carol, task, member=of(researcher))


def test_the_database_reserves_a_task_for_a_person_or_a_group(project, bob, group):
    (task,) = tasks(project)
    with pytest.raises(IntegrityError), transaction.atomic():
        RankingTask.objects.filter(pk=task.pk).update(
            reserved_for_user=bob, reserved_for_group=group
        )


def test_a_group_for_which_tasks_are_reserved_stays(project, carol, group):
    (task,) = tasks(project)
    reservations.reserve(carol, task, group=group)
    with pytest.raises(Refused, match="One task is reserved"):
        groups.delete(carol, group)
    assert rank_next(carol) is None

    reservations.reserve(carol, task)
    groups.delete(carol, group)
    assert not GroupMember.objects.exists()
    with pytest.raises(Refused, match="no such group"):
        reservations.reserve(carol, task, group=group)


def test_changes_of_groups_leave_events(project, alice, bob, carol, group):
    groups.change(carol, group, name="Doctors", members=[of(alice)])
    groups.change(carol, group, name="Doctors", members=[of(alice)])
    groups.delete(carol, group)

    events = AuditEvent.objects.filter(verb__endswith=" group").order_by("pk")
    assert list(events.values_list("verb", "data")) == [
        ("create group", {"name": "Physicians", "added": [bob.pk]}),
        ("change group", {"name": "Doctors", "added": [alice.pk], "removed": [bob.pk]}),
        ("delete group", {"name": "Doctors"}),
    ]


def test_names_of_groups_are_unique_in_a_project(project, carol, group):
    with pytest.raises(Refused, match="of this name"):
        groups.create(carol, project, "Physicians")
    other = groups.create(carol, project, "Lawyers")
    with pytest.raises(Refused, match="of this name"):
        groups.change(carol, other, name="Physicians")
    assert groups.create(carol, make_project(), "Physicians")


def test_reserved_tasks_cost_a_claim_no_further_query(project, alice, bob, carol, group):
    """Nor does it cost one more where nothing is found."""

    def queries() -> int:
        with CaptureQueriesContext(connection) as ran:
            held = claims.claim(of(alice))
        if held:
            leases.give_back(held)
        return len(ran)

    first, *_others = tasks(project, 3)
    queries()  # from now on it is always the same task, with its row
    without = queries()
    groups.change(carol, group, members=[of(alice), of(bob)])
    for task in tasks(project, 3, priority=-1):
        reservations.reserve(carol, task, member=of(bob))
    assert queries() == without
    reservations.reserve(carol, first, group=group)
    assert queries() == without
    RankingTask.objects.filter(project=project).update(
        reserved_for_user=bob, reserved_for_group=None
    )
    for_nobody = queries()
    RankingTask.objects.all().delete()
    assert queries() == for_nobody
