"""The stored SQLite database of an earlier version, moved to PostgreSQL by `manage.py
move-database`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, models
from django.db.models.functions import Cast

from config.run import checks
from people import moving
from people.models import AuditEvent, Project
from tests.upgrade.conftest import execute, stored  # noqa: F401
from tests.upgrade.looks import SLUG

ROOT = Path(__file__).resolve().parents[2]
NAME = f"podium_moved_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
INTERRUPTED = """
import os
from people import moving
rows = moving.move({url!r})
for _ in range(10):
    next(rows)
os._exit(9)
"""
postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="moves to PostgreSQL")
# more digits than a float holds, and JSON's null
AUDITED = '{"n": 12345678901234567890.5, "nothing": null}'


def manage(var, *arguments, database=None):
    """`manage.py` in this data folder, with SQLite or the database of this URL."""
    variables = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    variables["PODIUM_VAR"] = str(var)
    if database:
        variables["DATABASE_URL"] = database
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)


def dump(var):
    """All of the SQLite database, as SQL."""
    with closing(sqlite3.connect(var / "podium.sqlite3")) as database:
        return list(database.iterdump())


@pytest.fixture(scope="module")
def empty(django_db_setup, django_db_blocker):
    """The URL of an empty database."""
    execute(f"CREATE DATABASE {NAME} TEMPLATE template0", django_db_blocker)
    yield urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{NAME}"))
    execute(f"DROP DATABASE {NAME} WITH (FORCE)", django_db_blocker)


@pytest.fixture(scope="module")
def var(stored, tmp_path_factory):  # noqa: F811
    """The data folder whose database is moved."""
    var = tmp_path_factory.mktemp("moved") / "var"
    shutil.copytree(stored.var, var)
    assert manage(var, "migrate", "--verbosity=0").returncode == 0
    with closing(sqlite3.connect(var / "podium.sqlite3")) as database, database:
        # the last key was given to a row that is gone
        database.execute("UPDATE sqlite_sequence SET seq = 5000 WHERE name = 'people_project'")
        first = "(SELECT min(id) FROM people_auditevent)"
        database.execute(f"UPDATE people_auditevent SET data = ? WHERE id = {first}", [AUDITED])
        database.execute("CREATE TABLE somebodys (note)")
    return var


@pytest.fixture(scope="module")
def moved(var, empty):
    """The command that moved it, after another was killed in the middle."""
    before = dump(var)
    killed = manage(var, "shell", "--verbosity=0", "-c", INTERRUPTED.format(url=empty))
    assert killed.returncode == 9, killed.stderr
    done = manage(var, "move-database", empty)
    assert done.returncode == 0, done.stderr
    assert dump(var) == before
    return done


@pytest.fixture
def both(moved, var, empty, django_db_blocker):
    """Aliases of the old and the new database."""
    ours = connections.settings["default"]
    databases = {
        "old": {"ENGINE": "people.db.sqlite", "NAME": var / "podium.sqlite3"},
        "new": {**ours, "NAME": NAME},
    }
    configured = connections.configure_settings({"default": ours, **databases})
    with django_db_blocker.unblock():
        for alias in databases:
            connections.settings[alias] = configured[alias]
        yield tuple(databases)
        for alias in databases:
            connections[alias].close()
            del connections[alias], connections.settings[alias]


def rows(model, alias):
    return list(model._base_manager.using(alias).order_by("pk").values_list())


@postgresql
def test_every_value_of_every_table_is_the_same(both):
    old, new = both
    tables = moving._models()
    assert sum(len(rows(model, old)) for model in tables) > 500
    assert [model for model in tables if rows(model, old) != rows(model, new)] == []


@postgresql
def test_no_number_in_json_is_rounded(both):
    text = Cast("data", models.TextField())
    events = AuditEvent.objects.using("new").order_by("pk").values_list(text, flat=True)
    assert events[0] == AUDITED


@postgresql
def test_a_new_row_gets_a_key_that_none_had(both):
    project = Project.objects.using("new").create(slug="later", name="Later")
    pk = project.pk
    project.delete(using="new")
    assert pk == 5001


@postgresql
def test_rows_are_counted_table_by_table_and_what_stays_behind_is_named(moved, var):
    with closing(sqlite3.connect(var / "podium.sqlite3")) as database:
        for model in moving._models():
            table = model._meta.db_table
            [count] = database.execute(f'SELECT count(*) FROM "{table}"').fetchone()
            assert f"{table}: {count} rows, {count} moved\n" in moved.stdout
    assert moved.stderr == "Not moved: table somebodys, which Podium does not have.\n"


@postgresql
def test_a_dataset_frozen_on_either_side_has_the_same_id(moved, var, empty):
    on_sqlite = manage(var, "freeze", "--project", SLUG)
    on_postgresql = manage(var, "freeze", "--project", SLUG, database=empty)

    assert len(on_sqlite.stdout.strip()) == 64, on_sqlite.stderr
    assert on_postgresql.stdout == on_sqlite.stdout


@postgresql
def test_a_database_with_rows_is_refused(moved, var, empty):
    again = manage(var, "move-database", empty)

    assert again.returncode == 1
    assert "The new database is not empty" in again.stderr


@postgresql
def test_nothing_is_moved_while_podium_runs(var, empty):
    lock = checks.lock(var)
    try:
        refused = manage(var, "move-database", empty)
    finally:
        os.close(lock)

    assert refused.returncode == 1
    assert "Stop it before you move its database" in refused.stderr


@pytest.mark.parametrize("url", ["sqlite:///other", "postgres://host", "postgres://host:x/name"])
def test_what_is_no_url_of_a_postgresql_database_is_refused(url):
    with pytest.raises(CommandError, match="postgres://user:password@host/name"):
        call_command("move-database", url)
