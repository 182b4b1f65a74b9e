"""However many ask at once, a task has at most as many labelers as its overlap, each once."""

import multiprocessing
import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.utils.timezone import now

from labeling.judging import judgment, rankings
from labeling.models import Assignment, Prompt, RankingTask
from labeling.queue import claims, leases, order
from labeling.queue.eligibility import NotWorking
from people.models import Membership, Project
from tests.factories import make_person, make_project, make_task


def many_tasks(project, count):
    """Open tasks without answers: enough to be claimed."""
    prompts = Prompt.objects.bulk_create(
        Prompt(
            project=project,
            messages=[{"role": "user", "content": str(n)}],
            digest=f"{n:064}",
            split="train",
        )
        for n in range(count)
    )
    RankingTask.objects.bulk_create(
        RankingTask(project=project, prompt=prompt, overlap=project.rules.overlap)
        for prompt in prompts
    )
    order.publish(RankingTask.objects.filter(project=project))


def claim_all(membership_pk):
    """What a labeler's browser does all day: claim, submit, claim. Returns the tasks given."""
    membership = Membership.objects.select_related("project", "user").get(pk=membership_pk)
    given = []
    while (held := claims.claim(membership)) is not None:
        given.append(held.task_id)
        Assignment.objects.filter(pk=held.pk).update(state="submitted", leased_until=None)
    return given


def in_threads(memberships, results):
    def work(pk):
        try:
            results[pk] = claim_all(pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(pk,)) for pk in memberships]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def in_process(memberships, database, outbox):
    connections["default"].settings_dict["NAME"] = database
    results = {}
    in_threads(memberships, results)
    outbox.put(results)


def assert_fair(project, given):
    by_task = Counter(task for tasks in given for task in tasks)
    assert set(by_task.values()) == {project.rules.overlap}
    assert all(len(tasks) == len(set(tasks)) for tasks in given)
    assert not RankingTask.objects.filter(project=project).exclude(free_places=0).exists()


@pytest.mark.django_db(transaction=True)
def test_sixteen_threads_never_exceed_the_overlap():
    project = make_project(overlap=3)
    people = [Membership.objects.get(user=make_person(project)).pk for _ in range(16)]
    many_tasks(project, 40)
    results = {}

    in_threads(people, results)

    assert_fair(project, list(results.values()))


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="several web processes are for PostgreSQL"
)
def test_four_processes_of_four_threads_never_exceed_the_overlap():
    project = make_project(overlap=3)
    people = [Membership.objects.get(user=make_person(project)).pk for _ in range(16)]
    many_tasks(project, 60)
    name = connection.settings_dict["NAME"]
    connections.close_all()
    fork = multiprocessing.get_context("fork")
    outbox = fork.Queue()
    children = [
        fork.Process(target=in_process, args=(people[n::4], name, outbox)) for n in range(4)
    ]
    for child in children:
        child.start()
    given = [tasks for _ in children for tasks in outbox.get(timeout=60).values()]
    for child in children:
        child.join()

    assert_fair(project, given)


@pytest.mark.django_db
def test_tasks_come_by_priority_then_by_arrival():
    project = make_project()
    alice = Membership.objects.get(user=make_person(project))
    late, early, urgent = (make_task(project, texts=["a", "b"]) for _ in range(3))
    RankingTask.objects.filter(pk=urgent.pk).update(priority=-1)
    RankingTask.objects.filter(pk=late.pk).update(priority=1)
    order.publish(RankingTask.objects.filter(project=project))

    assert claim_all(alice.pk) == [urgent.pk, early.pk, late.pk]


@pytest.mark.django_db
def test_an_expired_lease_is_given_to_someone_else():
    project = make_project()
    alice, bob = (Membership.objects.get(user=make_person(project)) for _ in range(2))
    task = make_task(project, texts=["a", "b"])
    held = claims.claim(alice)
    assert claims.claim(bob) is None

    Assignment.objects.filter(pk=held.pk).update(leased_until=now() - timedelta(seconds=1))

    assert claims.claim(bob).task_id == task.pk
    assert Assignment.objects.get(pk=held.pk).state == "expired"


@pytest.mark.django_db
def test_a_reopened_place_is_found_by_those_who_had_passed_it():
    project = make_project()
    alice, bob = (Membership.objects.get(user=make_person(project)) for _ in range(2))
    first, second = (make_task(project, texts=["a", "b"]) for _ in range(2))
    held = claims.claim(alice)
    assert held.task_id == first.pk
    passed = claims.claim(bob)
    assert passed.task_id == second.pk
    Assignment.objects.filter(pk=passed.pk).update(state="submitted", leased_until=None)

    leases.skip(held, "not my subject")

    assert claims.claim(bob).task_id == first.pk
    assert claims.claim(alice) is None, "a skipped task does not come back to who skipped it"
    assert Assignment.objects.get(pk=held.pk).skip_reason == "not my subject"


@pytest.mark.django_db
def test_a_returned_task_may_come_back_with_its_order_and_draft():
    project = make_project()
    alice = Membership.objects.get(user=make_person(project))
    make_task(project, texts=["a", "b", "c", "d"])
    held = claims.claim(alice)
    leases.save_draft(held, {"note": "half a thought"})
    leases.give_back(held)

    again = claims.claim(alice)

    assert (again.pk, again.order, again.draft) == (held.pk, held.order, {"note": "half a thought"})


@pytest.mark.django_db
def test_two_tabs_of_one_labeler_get_the_one_lease():
    project = make_project()
    alice = Membership.objects.get(user=make_person(project))
    for _ in range(2):
        make_task(project, texts=["a", "b"])

    assert claims.claim(alice) == claims.claim(alice)


@pytest.mark.django_db
def test_pausing_stops_new_tasks():
    project = make_project(state=Project.State.PAUSED)
    alice = Membership.objects.get(user=make_person(project))
    make_task(project, texts=["a", "b"])

    with pytest.raises(NotWorking):
        claims.next_for(alice)


@pytest.mark.django_db
def test_who_was_paused_while_asking_gets_nothing():
    project = make_project()
    alice = Membership.objects.get(user=make_person(project))
    make_task(project, texts=["a", "b"])
    Membership.objects.filter(pk=alice.pk).update(paused=True)  # after the page had read it

    with pytest.raises(NotWorking):
        claims.claim(alice)


@pytest.mark.django_db
def test_who_was_removed_while_asking_gets_nothing():
    project = make_project()
    alice = Membership.objects.select_related("project", "user").get(user=make_person(project))
    make_task(project, texts=["a", "b"])
    Membership.objects.filter(pk=alice.pk).delete()  # after the page had read it

    with pytest.raises(NotWorking, match="not in this project any more"):
        claims.next_for(alice)


@pytest.mark.django_db
def test_who_was_removed_while_undoing_takes_nothing_back():
    project = make_project()
    alice = Membership.objects.select_related("project", "user").get(user=make_person(project))
    make_task(project, texts=["a", "b"])
    verdicts = {"a": judgment.Verdict(rank=1), "b": judgment.Verdict(rank=2)}
    submitted = rankings.submit(claims.claim(alice), judgment.Judgment(verdicts))
    Membership.objects.filter(pk=alice.pk).delete()

    with pytest.raises(rankings.TooLate, match="not in this project any more"):
        rankings.undo(submitted)
    assert Assignment.objects.get().state == "submitted"


@pytest.mark.django_db
def test_a_skip_after_the_lease_ran_out_counts():
    project = make_project()
    alice = Membership.objects.get(user=make_person(project))
    make_task(project, texts=["a", "b"])
    held = claims.claim(alice)
    Assignment.objects.filter(pk=held.pk).update(leased_until=now() - timedelta(seconds=1))
    leases.expire()

    leases.skip(held, "too long")

    assert claims.claim(alice) is None
    assert RankingTask.objects.get().free_places == 1


@pytest.mark.django_db
def test_an_expired_lease_does_not_hide_a_live_one():
    project = make_project()
    alice = Membership.objects.get(user=make_person(project))
    first, second = (make_task(project, texts=["a", "b"]) for _ in range(2))
    old = claims.claim(alice)
    Assignment.objects.filter(pk=old.pk).update(leased_until=now() - timedelta(seconds=1))
    live = claims.claim(alice)
    assert live.task_id == second.pk

    assert claims.current(project, alice.user) == live


@pytest.mark.django_db
@pytest.mark.parametrize(("completion", "index"), [("depth", "in_order"), ("breadth", "by_turn")])
@pytest.mark.parametrize("willing", [False, True])
def test_the_claim_query_uses_the_indexes_of_open_tasks(completion, index, willing):
    """One of what is reserved for nobody, one of what is reserved for the labeler, and one of what
    is reserved for a group.
    """
    project = make_project(completion=completion)
    labeler, field = make_person(project), order.key(project)
    many_tasks(project, 200)
    connection.cursor().execute("ANALYZE")
    tasks = claims._open_to(labeler, project, 5, field, willing)
    firsts = RankingTask.objects.filter(pk__in=claims._firsts(tasks, labeler, field))

    with connection.cursor() as cursor:
        explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # 200 rows would be scanned faster
            cursor.execute("SET LOCAL enable_sort = off")
        sql, params = firsts.query.sql_with_params()
        cursor.execute(explain + sql, params)
        plan = "\n".join(str(row) for row in cursor.fetchall())

    assert f"open_tasks_{index}" in plan
    assert f"tasks_of_a_person_{index}" in plan
    assert f"tasks_of_a_group_{index}" in plan
    assert "SCAN" not in plan
