"""Each account has a judge, an imported judge is unknown until somebody says what it is, and both
survive the migration and its way back.
"""

from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from labeling.models import Judge, imported_judge
from people import accounts
from people.models import User
from tests.factories import make_model, make_person

BEFORE, AFTER = ("labeling", "0016_truncated"), ("labeling", "0018_judges_of_accounts")


@pytest.mark.django_db
@pytest.mark.parametrize(("simulated", "kind"), [(False, "person"), (True, "script")])
def test_a_new_account_has_a_judge_with_its_uuid(simulated, kind):
    person = make_person(simulated=simulated)

    judge = Judge.objects.get(pk=person.uuid)
    assert (judge.account, judge.kind, judge.stated) == (person, kind, True)
    assert str(judge) == str(person)


@pytest.mark.django_db
def test_an_account_that_turns_out_to_be_a_script_judges_as_a_script(carol):
    person = make_person()

    accounts.change(carol, person, simulated=True)
    assert Judge.objects.get(account=person).kind == "script"

    accounts.change(carol, person, simulated=False)
    assert Judge.objects.get(account=person).kind == "person"


@pytest.mark.django_db
def test_a_log_in_asks_nothing_of_the_judges(django_assert_num_queries):
    person = make_person()

    with django_assert_num_queries(1):
        person.save(update_fields=["last_login"])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("constraint", "fields"),
    [
        ("a_judge_is_unknown_until_its_kind_is_stated", {"kind": "model"}),
        ("only_a_model_judges_as_a_model_version", {"kind": "script", "stated": True}),
    ],
)
def test_the_database_refuses_a_judge_that_contradicts_itself(constraint, fields):
    version = make_model() if constraint.startswith("only") else None

    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Judge.objects.create(uuid=uuid4(), name="gpt-4", model_version=version, **fields)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("constraint", "fields"),
    [
        ("an_account_judges_as_a_person_or_a_script", {"kind": "unknown"}),
        ("a_judge_with_an_account_has_the_name_of_the_account", {"name": "somebody else"}),
    ],
)
def test_the_database_refuses_a_judge_that_contradicts_its_account(constraint, fields):
    judge = Judge.objects.filter(account=make_person())

    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        judge.update(**fields)


# The migration


@pytest.fixture
def migrate(transactional_db):
    """Migrates to the named migration; the newest one is applied again at the end."""

    def to(*targets):
        executor = MigrationExecutor(connection)
        executor.migrate(list(targets))
        return MigrationExecutor(connection).loader.project_state(targets).apps

    yield to
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def test_the_migration_keeps_imported_judges_and_gives_each_account_one(migrate):
    people = [make_person() for _ in range(3)] + [make_person(simulated=True)]
    name = "summarize-from-feedback w7"
    old = migrate(BEFORE).get_model("labeling", "ExternalLabeler")
    old.objects.create(judge=imported_judge(name), name=name)

    judges = migrate(AFTER).get_model("labeling", "Judge").objects
    imported = judges.get(account=None)
    assert (imported.uuid, imported.name) == (imported_judge(name), name)
    assert (imported.kind, imported.stated) == ("unknown", False)
    of_accounts = judges.exclude(account=None).values_list("uuid", "account", "kind", "stated")
    kinds = ["person", "person", "person", "script"]
    assert sorted(of_accounts, key=lambda row: row[1]) == [
        (person.uuid, person.pk, kind, True) for person, kind in zip(people, kinds, strict=True)
    ]

    old = migrate(BEFORE).get_model("labeling", "ExternalLabeler")
    assert list(old.objects.values_list("judge", "name")) == [(imported_judge(name), name)]
    assert User.objects.count() == 4
