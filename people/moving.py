"""Move the SQLite database of an installation to PostgreSQL: `manage.py move-database URL`.

All rows are copied in one transaction of the new database: interrupted, it stays empty. The old one
is only read.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import chain
from typing import Any

import environ
from django.apps import apps
from django.db import DatabaseError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Cast

from people import backups
from people.db import bulk

OLD, NEW = "default", "moved"
BATCH = 1000  # rows that are in memory at once
# Migrations fill these. Their rows are replaced by those of the old database.
FILLED = ("auth_permission", "django_content_type")
MIGRATIONS = "django_migrations"


class MoveFailed(Exception):
    """Nothing was moved. The text says why and what to do."""


def move(url: str) -> Iterator[tuple[str, int]]:
    """Move all rows to the empty PostgreSQL database of this URL. Yields each table with its rows,
    counted on both sides; what it yields is stored when it ends. Raises MoveFailed, and
    BackupFailed while Podium runs.
    """
    database = _settings(url)
    if connections[OLD].vendor != "sqlite":
        raise MoveFailed("This installation's database is no SQLite: unset DATABASE_URL.")
    with backups.nothing_runs("you move its database"), _connected(database) as new:
        try:
            _check_old()
            _check_empty(new)
            _migrate(url)
            yield from _copy_all(new)
        except DatabaseError as error:
            raise MoveFailed(f"Nothing was moved: {str(error).strip()}") from error


def left_behind() -> list[str]:
    """Tables of the old database that Podium does not have, and that are not moved."""
    own = {model._meta.db_table for model in _models()} | {MIGRATIONS}
    return sorted(set(connections[OLD].introspection.table_names()) - own)


def _settings(url: str) -> dict[str, Any]:
    like = MoveFailed("The new database is a URL like postgres://user:password@host/name.")
    if not url.startswith(("postgres://", "postgresql://")):
        raise like
    try:
        database = environ.Env.db_url_config(url, engine="people.db.postgresql")
    except (ValueError, TypeError):
        raise like from None
    if not database.get("NAME"):
        raise like
    return database


@contextmanager
def _connected(database: dict[str, Any]) -> Iterator[BaseDatabaseWrapper]:
    connections.settings[NEW] = connections.configure_settings({"default": {}, NEW: database})[NEW]
    try:
        with closing(connections[NEW]) as new:
            yield new
    finally:
        del connections[NEW], connections.settings[NEW]


def _check_old() -> None:
    executor = MigrationExecutor(connections[OLD])
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise MoveFailed("The database is of an older version: run `manage.py migrate` first.")


def _check_empty(new: BaseDatabaseWrapper) -> None:
    with new.cursor() as cursor:
        for table in new.introspection.table_names(cursor):
            if table in (*FILLED, MIGRATIONS):
                continue
            cursor.execute(f"SELECT 1 FROM {new.ops.quote_name(table)} LIMIT 1")
            if cursor.fetchone():
                raise MoveFailed(
                    f"The new database is not empty, its table {table} has rows: name an empty one."
                )
    new.close()  # its server may end a connection that waits


def _migrate(url: str) -> None:
    """In another process: data migrations know the default database only."""
    command = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity=0"]
    root = apps.get_app_config("people").path + "/.."
    variables = os.environ | {"DATABASE_URL": url}
    done = subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise MoveFailed(f"The tables could not be made: {reason[0]}")


def _copy_all(new: BaseDatabaseWrapper) -> Iterator[tuple[str, int]]:
    with transaction.atomic(using=OLD), transaction.atomic(using=NEW):
        with new.cursor() as cursor:
            for table in FILLED:
                cursor.execute(f"DELETE FROM {new.ops.quote_name(table)}")
        # foreign keys are checked at the end, so that the order of tables doesn't matter
        for model in _models():
            _copy(model, new)
            _set_sequence(model, new)
            yield model._meta.db_table, _same_count(model)


def _models() -> list[type[models.Model]]:
    """One for each table, those of many-to-many relations too; by the names of their tables."""
    every = apps.get_models(include_auto_created=True)
    stored = [model for model in every if model._meta.managed and not model._meta.proxy]
    return sorted(stored, key=lambda model: model._meta.db_table)


def _copy(model: type[models.Model], new: BaseDatabaseWrapper) -> None:
    fields = bulk.stored_fields(model)
    # JSON as it is written: PostgreSQL reads it itself, and no number goes through a float
    selected = [
        Cast(field.attname, models.TextField()) if _is_json(field) else field.attname
        for field in fields
    ]
    rows = model._base_manager.using(OLD).order_by("pk").values_list(*selected)
    prepared = chain.from_iterable(
        _prepared(fields, batch, new) for batch in _batches(rows.iterator(chunk_size=BATCH))
    )
    try:
        bulk.copy(model._meta.db_table, [field.column for field in fields], prepared, new)
    except DatabaseError as error:
        reason = str(error).strip().splitlines()[0]
        raise MoveFailed(f"Nothing was moved: table {model._meta.db_table}: {reason}") from error


def _is_json(field: models.Field) -> bool:
    return isinstance(field, models.JSONField)


def _batches(rows: Iterable[tuple]) -> Iterator[list[tuple]]:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _prepared(fields: list[Any], rows: list[tuple], new: BaseDatabaseWrapper) -> Iterator[tuple]:
    columns = [
        values if _is_json(field) else bulk.column(field, values, new)
        for field, values in zip(fields, zip(*rows, strict=True), strict=True)
    ]
    return zip(*columns, strict=True)


def _set_sequence(model: type[models.Model], new: BaseDatabaseWrapper) -> None:
    """New keys begin after the last that was given, not after the last that is still there."""
    table, key = model._meta.db_table, model._meta.pk.column
    with connections[OLD].cursor() as cursor:
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s AND seq > 0", [table])
        last = cursor.fetchone()
    if last:
        with new.cursor() as cursor:
            quoted = new.ops.quote_name(table)
            sequence = "pg_get_serial_sequence(%s, %s)"
            cursor.execute(f"SELECT setval({sequence}, %s)", [quoted, key, last[0]])


def _same_count(model: type[models.Model]) -> int:
    old, new = (model._base_manager.using(alias).count() for alias in (OLD, NEW))
    if old != new:
        raise MoveFailed(
            f"Nothing was moved: table {model._meta.db_table} has {old} rows, and {new} arrived."
        )
    return new
