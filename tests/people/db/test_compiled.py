"""Queries that are compiled once answer as if they were compiled each time."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import F
from django.utils.timezone import now

from labeling.models import ProjectRules
from people.db.compiled import compiled, insert, insert_all, insert_once, update
from people.models import AuditEvent, Membership, Receipt, User
from tests.factories import make_person, make_project

pytestmark = pytest.mark.django_db


@compiled
def places_of(user):
    return Membership.objects.filter(user=user).select_related("project").order_by("pk")


@compiled
def names_since(at, state):
    return (
        User.objects.filter(created_at__gte=at, state=state)
        .order_by("pk")
        .values_list("name", "keys", "uuid")
    )


@compiled
def longer_leases(project, by):
    return update(ProjectRules.objects.filter(pk=project), lease_minutes=F("lease_minutes") + by)


@compiled
def receipt(key):
    return Receipt.objects.filter(key=key)


def test_instances_come_with_what_they_were_asked_to_bring(django_assert_num_queries):
    first, second = make_project(), make_project(name="Second")
    alice = make_person(first)
    Membership.objects.create(project=second, user=alice)
    places_of(alice.pk)

    with django_assert_num_queries(1):
        found = places_of(alice.pk)
        assert [one.project.name for one in found] == [first.name, second.name]
    assert found == list(Membership.objects.filter(user=alice).order_by("pk"))


def test_the_second_call_has_its_own_arguments():
    alice, bob = (
        make_person(make_project(), keys={"tie": "t"}),
        make_person(make_project(), state="paused"),
    )

    assert names_since(now() - timedelta(hours=1), "active") == [
        (alice.name, {"tie": "t"}, alice.uuid)
    ]
    assert names_since(now() - timedelta(hours=1), "paused") == [(bob.name, {}, bob.uuid)]
    assert names_since(now() + timedelta(hours=1), "active") == []


def test_an_update_tells_how_many_it_changed():
    project = make_project(lease_minutes=30)

    assert longer_leases(project.pk, 5) == 1
    assert longer_leases(project.pk + 1, 5) == 0
    project.rules.refresh_from_db()
    assert project.rules.lease_minutes == 35


def test_what_is_there_is_not_inserted_again():
    alice, key = make_person(make_project()), uuid4()

    assert insert_once(Receipt(user=alice, key=key, result={"ranking": 1}))
    assert not insert_once(Receipt(user=alice, key=key, result={"ranking": 2}))
    assert [(one.user, one.result) for one in receipt(key)] == [(alice, {"ranking": 1})]


def test_new_rows_are_what_django_would_have_saved(django_assert_num_queries):
    alice = make_person(make_project())
    insert(Receipt(user=alice, key=uuid4()))

    with django_assert_num_queries(2):
        insert(one := Receipt(user=alice, key=uuid4(), result={"a": [1, "é"]}))
        insert_all(more := [event(alice, "come"), event(alice, "go")])
    assert Receipt.objects.get(pk=one.pk).result == {"a": [1, "é"]}
    assert Receipt.objects.get(pk=one.pk).created_at == one.created_at
    found = AuditEvent.objects.filter(verb__in=("come", "go")).order_by("pk")
    assert [(row.verb, row.actor, row.project, row.data, row.at) for row in found] == [
        (row.verb, alice, None, {}, row.at) for row in more
    ]
    one.result = {}
    one.save()
    assert Receipt.objects.filter(key=one.key).count() == 1


def event(alice, verb):
    return AuditEvent(actor=alice, verb=verb, thing="user 1")


@pytest.mark.parametrize("times", [1, 2])
def test_rows_of_several_models_are_saved_together(django_assert_num_queries, times):
    alice, keys = make_person(make_project()), [uuid4(), uuid4()]

    for number, key in enumerate(keys[:times]):
        with django_assert_num_queries(1 if connection.vendor == "postgresql" else 2):
            insert_all(
                [event(alice, f"come {number}"), event(alice, "100 %s")],
                [],
                [Receipt(user=alice, key=key, result={"a": "é"})],
            )
        assert [one.result for one in receipt(key)] == [{"a": "é"}]
        assert AuditEvent.objects.filter(verb=f"come {number}").count() == 1
    assert AuditEvent.objects.filter(verb="100 %s").count() == times


def test_no_rows_cost_no_query(django_assert_num_queries):
    with django_assert_num_queries(0):
        insert_all([], [])


def test_as_many_arguments_as_the_query_has():
    with pytest.raises(ValueError, match="zip"):
        longer_leases(1)


@pytest.mark.parametrize("value", [None, True, 7, -1, 0.5, "it's", "100 % of ?", 'a "b" \\'])
def test_a_constant_means_in_the_sql_what_it_means_as_a_parameter(value):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {connection.literal(value).replace('%', '%%')}", [])
        [literal] = cursor.fetchone()

    assert literal == value


@pytest.mark.skipif(connection.vendor != "sqlite", reason="psycopg has a literal of each type")
@pytest.mark.parametrize("value", [float("nan"), b"bytes", uuid4()], ids=["nan", "bytes", "uuid"])
def test_a_constant_without_a_literal_is_refused(value):
    with pytest.raises(TypeError, match=type(value).__name__):
        connection.literal(value)


@compiled
def names_of(state):
    return User.objects.filter(state=state, name="100 % it's ?").values_list("name")


def test_a_compiled_query_has_placeholders_for_its_arguments_alone():
    make_person(name="x")
    User.objects.update(name="100 % it's ?")

    assert names_of("active") == [("100 % it's ?",)]
    sql, slots, _read = names_of.compiled
    assert [slot.name for slot in slots] == ["state"]
    assert sql.count("%s") == 1
