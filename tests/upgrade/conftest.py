"""The stored data of an earlier version, prepared as `make up` does; each test gets a copy."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from config.celery import app
from config.run import prepare

STORED = Path(__file__).parent / "stored"


@dataclass(frozen=True)
class Stored:
    """The unpacked archive: a data folder, its backup, and texts that only their owners know."""

    var: Path
    backup: Path
    known: dict[str, str]


@pytest.fixture(scope="session")
def stored(tmp_path_factory) -> Stored:
    folder = tmp_path_factory.mktemp("stored")
    with tarfile.open(STORED / "podium.tar.xz") as tar:
        tar.extractall(folder, filter="data")
    backup = "backup.tar" if connection.vendor == "sqlite" else f"backup-{connection.vendor}.tar"
    known = json.loads((folder / "known.json").read_text())
    return Stored(folder / "var", folder / backup, known)


@pytest.fixture(scope="session")
def data_folders(stored, tmp_path_factory, django_db_blocker) -> dict[str, Path]:
    """Data folders that are up to date: one restored from the backup, and the stored one.

    The stored one holds a SQLite database, so PostgreSQL has the backup alone.
    """
    folders = {"backup": tmp_path_factory.mktemp("restored") / "var"}
    create_database(folders["backup"], django_db_blocker)
    with in_folder(folders["backup"], django_db_blocker):
        call_command("restore", stored.backup)
    if connection.vendor == "sqlite":
        folders["var"] = stored.var
    for folder in folders.values():
        with in_folder(folder, django_db_blocker):
            bring_up_to_date()
    yield folders
    drop_database(folders["backup"], django_db_blocker)


def bring_up_to_date() -> None:
    """What `make up` does before and just after the first process starts."""
    prepare.migrate()
    call_command("first_run")
    app.loader.import_default_modules()
    app.tasks["sweep"]()


@pytest.fixture
def podium(data_folders, own_folders, tmp_path, django_db_blocker) -> Path:
    """This test's own copy of the data folder; the product reads and writes it."""
    original = data_folders.get("var", data_folders["backup"])
    with copied(original, tmp_path / "var", django_db_blocker) as var:
        yield var


@pytest.fixture(params=["var", "backup"])
def either_podium(request, data_folders, own_folders, tmp_path, django_db_blocker) -> Path:
    """The same, of either data folder."""
    if request.param not in data_folders:
        pytest.skip("the stored data folder holds a SQLite database")
    with copied(data_folders[request.param], tmp_path / "var", django_db_blocker) as var:
        yield var


@contextmanager
def copied(original: Path, var: Path, blocker):
    shutil.copytree(original, var)
    create_database(var, blocker, template=database_of(original))
    try:
        with in_folder(var, blocker):
            yield var
    finally:
        drop_database(var, blocker)


def database_of(var: Path) -> Path | str:
    """SQLite's file in the data folder; on PostgreSQL a database that is named after it."""
    if connection.vendor == "sqlite":
        return var / "podium.sqlite3"
    return f"stored_{hashlib.sha256(str(var).encode()).hexdigest()[:16]}"


def create_database(var: Path, blocker, template: Path | str = "template0") -> None:
    if connection.vendor == "postgresql":
        execute(f"CREATE DATABASE {database_of(var)} TEMPLATE {template}", blocker)


def drop_database(var: Path, blocker) -> None:
    if connection.vendor == "postgresql":
        execute(f"DROP DATABASE {database_of(var)}", blocker)


def execute(statement: str, blocker) -> None:
    """On the server, outside the databases of the tests."""
    with blocker.unblock(), connection._nodb_cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def in_folder(var: Path, blocker):
    """Settings and database of an installation in this data folder."""
    var.mkdir(parents=True, exist_ok=True)
    secret = var / "secret"
    settings = {
        "VAR": var,
        "MEDIA_ROOT": var / "uploads",
        "MODEL_ROOTS": [var / "models"],
        "MACHINE_LOCK": var / "machine.lock",
        "DEVICES": "cpu",
        "DEMO": False,
        "SECRET_KEY": secret.read_text().strip() if secret.exists() else "not restored yet",
    }
    database = connection.settings_dict
    tests_own = database["NAME"]
    connection.close()
    database["NAME"] = database_of(var)
    ContentType.objects.clear_cache()
    try:
        with override_settings(**settings), blocker.unblock():
            yield
    finally:
        connection.close()
        database["NAME"] = tests_own
        ContentType.objects.clear_cache()
