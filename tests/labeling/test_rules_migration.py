"""The migration that gives each project its rules, forward and back, on the tables as they were."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

COLUMNS = ("people", "0009_delivery_plural")  # which the next one of people drops
BEFORE = [("labeling", "0019_reserved_tasks"), COLUMNS]
AFTER = [("labeling", "0020_project_rules"), COLUMNS]
USUAL = {"slug": "usual", "name": "Usual"}
UNUSUAL = {
    "k": 9,
    "overlap": 50,
    "completion": "breadth",
    "skips_to_set_aside": 1,
    "ties": False,
    "rating": False,
    "flags": ["opinion", 'says “Grüß Gott”, or "hi"'],
    "notes": False,
    "strength": True,
    "lease_minutes": 1440,
    "daily_limit": 20,
    "gold_share": 50,
}
NO_FLAGS = {"slug": "no-flags", "name": "No flags", "flags": [], "daily_limit": None}


@pytest.fixture
def migrate(transactional_db):
    """A function that migrates to these targets, and returns the models as they were then."""

    def to(targets):
        MigrationExecutor(connection).migrate(targets)
        return MigrationExecutor(connection).loader.project_state(targets).apps

    yield to
    to(MigrationExecutor(connection).loader.graph.leaf_nodes())


def settings(row) -> dict:
    return {name: getattr(row, name) for name in UNUSUAL}


def test_each_project_gets_its_settings_as_rules_and_back(migrate):
    Project = migrate(BEFORE).get_model("people", "Project")
    rows = [USUAL, UNUSUAL | {"slug": "unusual", "name": "Unusual"}, NO_FLAGS]
    before = {
        project.pk: settings(project) for project in (Project.objects.create(**row) for row in rows)
    }

    ProjectRules = migrate(AFTER).get_model("labeling", "ProjectRules")
    assert {rules.project_id: settings(rules) for rules in ProjectRules.objects.all()} == before

    ProjectRules.objects.filter(project__slug="usual").update(**UNUSUAL)
    Project = migrate(BEFORE).get_model("people", "Project")

    after = {project.slug: settings(project) for project in Project.objects.all()}
    assert after["usual"] == after["unusual"] == UNUSUAL
    assert after["no-flags"] == before[Project.objects.get(slug="no-flags").pk]


def test_going_back_refuses_a_project_without_rules(migrate):
    apps = migrate(AFTER)
    apps.get_model("people", "Project").objects.create(**USUAL)

    with pytest.raises(RuntimeError, match="0 of 1 projects have rules"):
        migrate(BEFORE)

    assert apps.get_model("labeling", "ProjectRules").objects.count() == 0
    apps.get_model("people", "Project").objects.all().delete()
