"""The stored data of an earlier version, prepared as `make up` does; each test gets a copy."""

from __future__ import annotations

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
    if connection.vendor != "sqlite":
        pytest.skip(
            "the stored database is SQLite's, and a backup is restored to the same kind of database"
        )
    folder = tmp_path_factory.mktemp("stored")
    with tarfile.open(STORED / "podium.tar.xz") as tar:
        tar.extractall(folder, filter="data")
    return Stored(
        folder / "var", folder / "backup.tar", json.loads((folder / "known.json").read_text())
    )


@pytest.fixture(scope="session")
def data_folders(stored, tmp_path_factory, django_db_blocker) -> dict[str, Path]:
    """Data folders that are up to date: the stored one, and one restored from the backup."""
    folders = {"var": stored.var, "backup": tmp_path_factory.mktemp("restored") / "var"}
    with in_folder(folders["backup"], django_db_blocker):
        call_command("restore", stored.backup)
    for folder in folders.values():
        with in_folder(folder, django_db_blocker):
            bring_up_to_date()
    return folders


def bring_up_to_date() -> None:
    """What `make up` does before and just after the first process starts."""
    prepare.migrate()
    call_command("first_run")
    app.loader.import_default_modules()
    app.tasks["sweep"]()


@pytest.fixture
def podium(data_folders, own_folders, tmp_path, django_db_blocker) -> Path:
    """This test's own copy of the data folder; the product reads and writes it."""
    var = shutil.copytree(data_folders["var"], tmp_path / "var")
    with in_folder(var, django_db_blocker):
        yield var


@pytest.fixture(params=["var", "backup"])
def either_podium(request, data_folders, own_folders, tmp_path, django_db_blocker) -> Path:
    """The same, of either data folder."""
    var = shutil.copytree(data_folders[request.param], tmp_path / "var")
    with in_folder(var, django_db_blocker):
        yield var


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
    database["NAME"] = var / "podium.sqlite3"
    ContentType.objects.clear_cache()
    try:
        with override_settings(**settings), blocker.unblock():
            yield
    finally:
        connection.close()
        database["NAME"] = tests_own
        ContentType.objects.clear_cache()
