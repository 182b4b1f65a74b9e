"""What is PostgreSQL's own: prepared statements, and connections that have ended."""

from uuid import uuid4

import pytest
from django.db import DataError, connection
from psycopg.types.numeric import Int2

from labeling.models import ProjectRules
from people.db.compiled import compiled, insert
from people.models import Project, Receipt
from tests.factories import make_person, make_project

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="of PostgreSQL"),
]


@compiled
def open_ones(lease):
    open_rules = ProjectRules.objects.filter(project__state=Project.State.OPEN)
    return open_rules.filter(lease_minutes=lease).values_list("project__slug")


def prepared():
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [statement for (statement,) in cursor.fetchall()]


def test_a_repeated_query_is_planned_once_with_its_constants_whatever_the_size_of_its_numbers():
    make_project(slug="one", lease_minutes=30)
    found = [open_ones(lease) for lease in (30, 300, 30_000, 300_000, 30)]

    assert found == [[("one",)], [], [], [], [("one",)]]
    [statement] = [one for one in prepared() if "lease_minutes" in one]
    assert "'open'" in statement
    assert "$1" in statement
    assert "$2" not in statement


def test_new_rows_are_prepared_too():
    alice = make_person(make_project())
    for _ in range(4):
        insert(Receipt(user=alice, key=uuid4(), result={"percent": "100 %"}))

    assert len([one for one in prepared() if one.startswith("INSERT") and "receipt" in one]) == 1
    assert {one.result["percent"] for one in Receipt.objects.all()} == {"100 %"}


def test_a_number_that_is_too_large_is_refused_not_cut():
    with connection.prepared_cursor() as cursor, pytest.raises(DataError):
        cursor.execute("SELECT CAST(%s AS smallint)", [Int2(2**46)])


def test_a_connection_that_the_server_ended_is_not_taken_for_a_living_one():
    connection.ensure_connection()
    assert connection.is_usable()
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid]
            )
        assert not connection.is_usable()
    finally:
        other.close()
        connection.close()
