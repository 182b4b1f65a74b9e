"""The queue that the benchmarks fill by plain SQL, past the models: it must keep up with their
columns.
"""

import re

import pytest
from django.db import connection

from benchmarks import queue_fixture
from labeling.models import Candidate, RankingTask
from labeling.models.tasks import RESERVED
from labeling.queue import claims
from people.models import Membership

pytestmark = pytest.mark.django_db


def test_the_benchmarks_queue_is_one_that_people_can_work(client_for):
    queue_fixture.make(6)
    membership = Membership.objects.first()
    held = claims.next_for(membership)

    assert (RankingTask.objects.count(), Candidate.objects.count()) == (6, 6 * queue_fixture.K)
    assert len(held.order) == queue_fixture.K
    assert client_for(membership.user).get(f"/p/{queue_fixture.SLUG}/rank/").status_code == 200
    assert queue_fixture.violations() == 0


def test_half_of_the_benchmarks_queue_can_be_reserved_for_others(client_for):
    queue_fixture.make(6)
    queue_fixture.reserve_half()
    tasks = RankingTask.objects.filter(project__slug=queue_fixture.SLUG).order_by("pk")
    membership = Membership.objects.first()
    taken = []
    for _ in range(3):
        held = claims.next_for(membership)
        taken.append(held.task)
        type(held).objects.filter(pk=held.pk).update(state="submitted", leased_until=None)

    assert tasks.filter(RESERVED).count() == 3
    assert taken == list(tasks.exclude(RESERVED))
    assert claims.next_for(membership) is None
    assert {task.reserved_for_group is None for task in tasks.filter(RESERVED)} == {True, False}


@pytest.mark.parametrize("completion", ["depth", "breadth"])
@pytest.mark.parametrize("willing", [True, False], ids=["willing", "unwilling"])
@pytest.mark.parametrize("reserved", [False, True], ids=["for nobody", "half for others"])
def test_no_claim_reads_a_whole_table(completion, willing, reserved):
    """Of a few rows PostgreSQL reads all whatever it is asked, so there must be many."""
    queue_fixture.make(2000)
    if reserved:
        queue_fixture.reserve_half()
    membership = Membership.objects.first()
    membership.user.sensitive, membership.project.rules.completion = willing, completion
    claims.next_for(membership)
    held, asked = claims.next_for(membership), []

    def listen(execute, sql, params, many, context):
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(listen):
        ahead = claims.lease_ahead(membership, held.pk)

    assert ahead is not None
    searches = [
        query for query in asked if query[0].startswith("SELECT") and "rankingtask" in query[0]
    ]
    assert len(searches) > 1
    for query in searches:
        assert not read_whole(*query) & {
            "labeling_prompt",
            "labeling_rankingtask",
            "labeling_candidate",
        }


def read_whole(sql, params):
    """The tables that the database means to read from end to end."""
    explain = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
    with connection.cursor() as cursor:
        cursor.execute(explain + sql, params)
        plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
    return set(re.findall(r"(?:Seq Scan on|SCAN) (\w+)", plan))
