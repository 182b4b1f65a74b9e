"""Which migrations the code before them survives."""

import importlib
from pathlib import Path

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState

from config.run import compatible

# The last migration of each app before there was this rule, or of the last release. The next ones
# are survived, or say why Podium must be stopped.
RELEASED = {"people": 13, "modelops": 15, "labeling": 32}


def before():
    state = ProjectState()
    fields = [
        ("id", models.BigAutoField(primary_key=True)),
        ("name", models.CharField(max_length=20)),
        ("note", models.TextField(null=True)),
    ]
    state.add_model(ModelState("people", "Thing", fields))
    return state


def reasons(*operations, **about):
    migration = migrations.Migration("0099_next", "people")
    migration.operations = list(operations)
    vars(migration).update(about)
    return compatible.reasons(migration, before())


def add(field):
    return migrations.AddField("thing", "extra", field)


def alter(name, field):
    return migrations.AlterField("thing", name, field)


CHECK = models.CheckConstraint(condition=models.Q(name__gt=""), name="a_thing_has_a_name")
SURVIVED = {
    "a table": migrations.CreateModel(
        "Other", [("id", models.BigAutoField(primary_key=True)), ("n", models.IntegerField())]
    ),
    "a field that may be empty": add(models.TextField(null=True)),
    "a field that the database fills": add(models.IntegerField(db_default=0)),
    "a field of many": add(models.ManyToManyField("people.Thing")),
    "an index": migrations.AddIndex("thing", models.Index(fields=["name"], name="by_name")),
    "a longer field": alter("name", models.CharField(max_length=30)),
    "a field that may become empty": alter("name", models.CharField(max_length=20, null=True)),
    "other choices": alter("name", models.CharField(max_length=20, choices=[("a", "A")])),
    "a field that code no longer has": migrations.SeparateDatabaseAndState(
        state_operations=[migrations.RemoveField("thing", "note")]
    ),
}
NOT_SURVIVED = {
    "a field with a default of code": (add(models.IntegerField(default=0)), "does not fill"),
    "a field gone": (migrations.RemoveField("thing", "note"), "removes a field"),
    "a field of another name": (migrations.RenameField("thing", "note", "text"), "renames a field"),
    "a table gone": (migrations.DeleteModel("Thing"), "removes a table"),
    "a table of another name": (migrations.RenameModel("Thing", "Item"), "renames a table"),
    "a field that is needed": (alter("note", models.TextField()), "to be empty"),
    "a shorter field": (alter("name", models.CharField(max_length=9)), "shortens"),
    "a field of another type": (alter("note", models.IntegerField(null=True)), "type"),
    "a field without equals": (
        alter("name", models.CharField(max_length=20, unique=True)),
        "equal values",
    ),
    "a constraint": (migrations.AddConstraint("thing", CHECK), "may not survive"),
    "a function": (migrations.RunPython(migrations.RunPython.noop), "may not survive"),
    "removed below": (
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RemoveField("thing", "note")]
        ),
        "removes a field",
    ),
}


@pytest.mark.parametrize("name", SURVIVED)
def test_old_code_survives(name):
    assert reasons(SURVIVED[name]) == []


@pytest.mark.parametrize("name", NOT_SURVIVED)
def test_old_code_does_not_survive(name):
    operation, word = NOT_SURVIVED[name]

    [reason] = reasons(operation)
    assert reason.startswith("people.0099_next ")
    assert word in reason


def test_an_author_may_judge_a_function_and_not_a_removal():
    why = {"old_code_survives": "It fills a column that old code does not read."}

    assert reasons(migrations.RunPython(migrations.RunPython.noop), **why) == []
    assert reasons(migrations.RemoveField("thing", "note"), **why)


def test_an_author_may_say_that_podium_must_be_stopped():
    assert reasons(SURVIVED["an index"], needs_stop="It takes an hour.") == [
        "people.0099_next needs it: It takes an hour."
    ]


def test_later_steps_see_the_fields_of_earlier_ones():
    steps = [add(models.TextField(null=True)), alter("extra", models.TextField())]
    migration = [migrations.AlterField("thing", "extra", models.TextField(null=True))]

    assert reasons(steps[0], *migration) == []
    assert len(reasons(*steps)) == 1


def test_migrations_since_the_release_are_survived_or_say_why_not():
    """`needs_stop` in a migration says why Podium must be stopped for it: docs/operator.md and
    CONTRIBUTING.md say how to do without.
    """
    loader = MigrationLoader(None)
    for app, released in RELEASED.items():
        package = importlib.import_module(f"{app}.migrations")
        for file in sorted(Path(package.__file__).parent.glob("[0-9]*.py")):
            if int(file.stem[:4]) <= released:
                continue
            migration = loader.disk_migrations[app, file.stem]
            state = loader.project_state((app, file.stem), at_end=False)
            if not getattr(migration, "needs_stop", ""):
                assert compatible.reasons(migration, state) == []
