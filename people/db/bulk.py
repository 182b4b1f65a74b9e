"""Insert thousands of rows at once: COPY on PostgreSQL, one prepared statement on SQLite.

Django's bulk_create() composes SQL with a placeholder for each value of each row and compiles each
value, which takes far longer than the database needs to store it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.base import ModelState

Row = TypeVar("Row", bound=models.Model)

# A value of exactly this type is sent as it is; any other goes through its field.
PLAIN: dict[type[models.Field], type] = {
    models.AutoField: int,
    models.BigAutoField: int,
    models.IntegerField: int,
    models.BigIntegerField: int,
    models.SmallIntegerField: int,
    models.PositiveIntegerField: int,
    models.PositiveSmallIntegerField: int,
    models.ForeignKey: int,
    models.BooleanField: bool,
    models.FloatField: float,
    models.CharField: str,
    models.TextField: str,
}


def new(model: type[Row], **values: Any) -> Row:
    """`model(**values)` in a fraction of its time, by the names of columns ("project_id"): no
    signal is sent. Raises TypeError for a name that is none of them.
    """
    constants, calls = _defaults(model)
    item = model.__new__(model)
    item._state = ModelState()
    columns = item.__dict__
    columns |= constants
    columns |= values
    columns |= {name: call() for name, call in calls.items() if name not in values}
    if len(columns) > len(constants) + len(calls) + 1:  # the state
        raise TypeError(
            f"{model.__name__} has no {min(values.keys() - constants.keys() - calls.keys())}"
        )
    return item


@cache
def _defaults(model: type[models.Model]) -> tuple[dict[str, Any], dict[str, Callable]]:
    """The defaults of a model's columns: those that are constant, and what makes the others."""
    constants, calls = {}, {}
    for field in stored_fields(model):
        if field.has_default() and callable(field.default):
            calls[field.attname] = field.default
        else:
            constants[field.attname] = field.get_default()
    return constants, calls


def insert(objects: Iterable[Row]) -> list[Row]:
    """Insert new objects of one model and give them their keys; returns them.

    For a model whose keys the database counts, in a transaction. Like bulk_create(), it sends no
    signals; unlike it, it needs a value of every field that has its default in the database.
    """
    objects = list(objects)
    if objects:
        fields = [field for field in stored_fields(type(objects[0])) if not field.primary_key]
        columns = {
            field.attname: [item.__dict__[field.attname] for item in objects] for field in fields
        }
        keys = insert_columns(type(objects[0]), columns)
        for item, key in zip(objects, keys, strict=True):
            item.pk = key
            item._state.adding, item._state.db = False, connection.alias
    return objects


def insert_columns(model: type[models.Model], columns: Mapping[str, Sequence]) -> Sequence[int]:
    """Insert rows without making objects of them; returns their keys. `columns` has the values of
    every field but the key, by its attname ("project_id"). Raises TransactionManagementError
    outside of a transaction, where another process could take the keys.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("rows in bulk need a transaction")
    meta, fields = model._meta, {field.attname: field for field in stored_fields(model)}
    keys = _new_keys(meta, len(next(iter(columns.values()))))
    prepared = [keys, *(column(fields[name], values) for name, values in columns.items())]
    names = [meta.pk.column, *(fields[name].column for name in columns)]
    copy(meta.db_table, names, zip(*prepared, strict=True))
    return keys


def stored_fields(model: type[models.Model]) -> list[Any]:
    """The fields that the database does not compute."""
    return [field for field in model._meta.concrete_fields if not field.generated]


def copy(
    table: str,
    columns: Sequence[str],
    rows: Iterable[tuple],
    to: BaseDatabaseWrapper | None = None,
) -> None:
    """Insert rows of values as the database takes them; columns left out get their defaults."""
    database = to or connections[DEFAULT_DB_ALIAS]
    quote = database.ops.quote_name
    into = f"{quote(table)} ({', '.join(map(quote, columns))})"
    with database.cursor() as cursor:
        if database.vendor == "postgresql":
            # Django wraps the errors of execute(), but not those of copy()
            statement = f"COPY {into} FROM STDIN"
            with database.wrap_database_errors, cursor.copy(statement) as stream:
                for row in rows:
                    stream.write_row(row)
        else:
            placeholders = ", ".join(["%s"] * len(columns))
            cursor.executemany(f"INSERT INTO {into} VALUES ({placeholders})", rows)


def _new_keys(meta: Any, count: int) -> Sequence[int]:
    """Keys that no row has or had. On SQLite nobody else can take them: a transaction is a write
    transaction.
    """
    table = meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)",
                [connection.ops.quote_name(table), meta.pk.column, count],
            )
            return [key for (key,) in cursor.fetchall()]
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        last = cursor.fetchone()
        first = last[0] + 1 if last else 1
        return range(first, first + count)


def column(
    field: models.Field, values: Sequence, to: BaseDatabaseWrapper | None = None
) -> Sequence:
    """The values of a field as the database takes them."""
    database = to or connections[DEFAULT_DB_ALIAS]
    plain = PLAIN.get(type(field))
    if all(value is None or type(value) is plain for value in values):
        return values
    if isinstance(values[0], datetime):
        prepared = {value: field.get_db_prep_save(value, database) for value in set(values)}
        return [prepared[value] for value in values]
    return [field.get_db_prep_save(value, database) for value in values]
