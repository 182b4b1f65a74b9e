"""Nobody is given more tasks a day than the project allows."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from labeling.judging import judgment, rankings
from labeling.models import Assignment
from labeling.queue import claims
from labeling.queue.eligibility import NotWorking
from people.models import Membership
from tests.factories import make_project, make_task

pytestmark = pytest.mark.django_db
JUDGMENT = judgment.Judgment({"a": judgment.Verdict(rank=1), "b": judgment.Verdict(rank=2)})


@pytest.fixture
def project(project):
    project.zone = "Pacific/Kiritimati"  # fourteen hours ahead
    project.save()
    project.rules.daily_limit = 2
    project.rules.save()
    for _ in range(4):
        make_task(project, texts=["a", "b"], overlap=2)
    return project


def next_for(person):
    return claims.next_for(Membership.objects.select_related("project", "user").get(user=person))


def rank_two(person):
    return [rankings.submit(next_for(person), JUDGMENT) for _ in range(2)]


def test_a_claim_beyond_the_limit_is_told_when_it_goes_on(project, alice, client_for):
    rank_two(alice)

    page = client_for(alice).get("/p/demo/rank/").content.decode()
    assert "limit of 2 a day. The next task comes on" in page
    assert ", 10:00." in page, "midnight there, in her own zone"
    assert Assignment.objects.count() == 2


def test_the_limit_is_each_persons_own(project, alice, bob):
    rank_two(alice)

    assert next_for(bob)


def test_a_day_begins_at_midnight_of_the_project_s_zone(project, alice):
    rank_two(alice)
    begun, _ends = project.day()
    Assignment.objects.update(ended_at=begun)
    with pytest.raises(NotWorking):
        next_for(alice)

    Assignment.objects.update(ended_at=begun - timedelta(seconds=1))
    assert next_for(alice)


def test_undo_gives_one_back_and_what_is_held_can_be_submitted(project, alice):
    _first, second = rank_two(alice)

    undone = rankings.undo(second)

    assert next_for(alice) == undone
    assert rankings.submit(undone, JUDGMENT).current
    with pytest.raises(NotWorking):
        next_for(alice)


def test_a_limit_lowered_meanwhile_leaves_an_open_task_alone(project, alice):
    rankings.submit(next_for(alice), JUDGMENT)
    held = next_for(alice)
    project.rules.daily_limit = 1
    project.rules.save()

    assert next_for(alice) == held
    assert rankings.submit(held, JUDGMENT).current


def test_a_day_lasts_as_long_as_the_clock_says(db):
    begun, ends = make_project(zone="Europe/Berlin").day()

    assert begun <= now() < ends
    assert ends - begun == timedelta(days=1), "by the wall clock, summer time or not"
