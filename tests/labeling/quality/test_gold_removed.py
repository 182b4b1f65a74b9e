"""A gold task becomes an ordinary one again, and what people said of it counts."""

import re
import threading

import pytest
from django.db import connection

from labeling.exports import freeze
from labeling.judging import rankings
from labeling.models import Ranking, RankingTask
from labeling.quality import gold
from labeling.queue import claims, leases
from people.models import AuditEvent
from tests.factories import make_person, make_project, make_ranking, make_task
from tests.flows import recount
from tests.labeling.quality.test_gold import fresh, make_gold, next_for, of, rank_next, ranks

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(project, monkeypatch):
    """Whenever gold may be drawn, it is."""
    monkeypatch.setattr(claims, "drawn", lambda percent: True)
    project.rules.gold_share = 10
    project.rules.save()
    return project


def test_a_task_that_is_gold_no_more_counts_with_all_that_was_said_of_it(
    client_for, project, alice, bob, carol
):
    golden = make_gold(project, carol, overlap=1)
    make_task(project, texts=["good", "poor"], overlap=2)
    for person in (alice, bob):
        rank_next(person)
    client_for(carol).post(f"/p/demo/tasks/{golden.pk}/not-gold")

    task = fresh(golden)
    assert (task.purpose, task.overlap, task.free_places) == ("training", 2, 0)
    assert freeze.freeze_now(carol, project).counts["pairs"] == 2, "both judgments, and not the key"
    assert gold.figures(project) == {}
    recount.check(project)


def test_it_is_offered_again_where_places_are_left(project, alice, bob, carol):
    golden = make_gold(project, carol, overlap=2)
    plain = make_task(project, texts=["good", "poor"], overlap=2)
    rank_next(alice)
    rank_next(alice)
    gold.unmake(carol, golden)

    assert next_for(bob).task == golden, "at its place in the order"
    assert next_for(alice) is None
    assert fresh(plain).free_places == 1


def test_who_holds_a_place_beyond_the_overlap_keeps_one(project, carol):
    golden = make_gold(project, carol, overlap=1)
    make_task(project, texts=["good", "poor"], overlap=9)
    held = [next_for(make_person(project)) for _ in range(3)]
    leases.give_back(held[0])
    gold.unmake(carol, golden)

    assert sorted(golden.assignments.exclude(pk=held[0].pk).values_list("place", flat=True)) == [
        0,
        1,
    ]
    assert (fresh(golden).overlap, fresh(golden).free_places) == (2, 0)
    rankings.submit(held[2], ranks(1, 2))
    recount.check(project)


def test_made_gold_again_the_key_is_there_to_start_from(client_for, project, carol):
    golden = make_gold(project, carol)
    gold.unmake(carol, golden)
    gold.unmake(carol, golden)
    assert AuditEvent.objects.filter(verb="unmake gold").count() == 1

    page = client_for(carol).get(f"/p/demo/tasks/{golden.pk}/gold").content.decode()
    assert re.search(r'name="order" value="ab"', page)


def test_a_task_that_came_ranked_is_offered_to_nobody_afterwards(project, alice, carol):
    task = make_task(project, texts=["good", "poor"])
    RankingTask.objects.filter(pk=task.pk).update(sort_key=None, free_places=0)
    imported = make_ranking(fresh(task), alice, ranks=(1, 2))
    Ranking.objects.filter(pk=imported.pk).update(kind="imported", labeler=None)
    gold.make(carol, task, ranks(1, 2))
    gold.unmake(carol, task)

    assert (fresh(task).sort_key, fresh(task).free_places) == (None, 0)
    assert next_for(alice) is None


@pytest.mark.django_db(transaction=True)
def test_a_task_may_turn_gold_and_back_while_people_come_and_go(monkeypatch):
    monkeypatch.setattr(claims, "drawn", lambda percent: True)
    project = make_project(gold_share=50, skips_to_set_aside=100)
    admin = make_person(project, "admin")
    people = [of(make_person(project)) for _ in range(4)]
    busy = make_task(project, texts=["good", "poor"], overlap=2)
    make_task(project, texts=["good", "poor"], overlap=5)
    failed = []

    def at_work(deed):
        try:
            for number in range(12):
                deed(number)
        except Exception as error:  # a deadlock, for one
            failed.append(error)
        finally:
            connection.close()

    def come_and_go(member):
        def deed(number):
            held = claims.next_for(member)
            if held and number == 11:
                rankings.submit(held, ranks(1, 2))
            elif held:
                leases.give_back(held)

        return deed

    def turn(number):
        gold.make(admin, busy, ranks(1, 2)) if number % 2 == 0 else gold.unmake(admin, busy)

    deeds = [turn, *(come_and_go(member) for member in people)]
    threads = [threading.Thread(target=at_work, args=(deed,)) for deed in deeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failed
    recount.check(project)
    for member in people:
        is_open = bool(recount.Rows(project).open_to(member.user_id))
        assert bool(claims.next_for(member)) == is_open, "what is open is found"
