"""Insert thousands of rows at once: COPY on PostgreSQL, one prepared statement on SQLite.

Django's bulk_create() composes SQL with a placeholder for each value of each row and compiles each
value, which takes far longer than the database needs to store it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db import connection, models

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


def insert(objects: Iterable[Row]) -> list[Row]:
    """Insert new objects of one model and give them their keys; returns them.

    To be called in a transaction, for a model whose keys the database counts. Like bulk_create(),
    it sends no signals; unlike it, it needs a value of every field that has its default in the
    database.
    """
    objects = list(objects)
    if not objects:
        return objects
    meta = type(objects[0])._meta
    for item, key in zip(objects, _new_keys(meta, len(objects)), strict=True):
        item.pk = key
        item._state.adding, item._state.db = False, connection.alias
    fields = [field for field in meta.concrete_fields if not field.generated]
    columns = [_column(field, objects) for field in fields]
    copy(meta.db_table, [field.column for field in fields], zip(*columns, strict=True))
    return objects


def copy(table: str, columns: Sequence[str], rows: Iterable[tuple]) -> None:
    """Insert rows of values as the database takes them; columns left out get their defaults."""
    quote = connection.ops.quote_name
    into = f"{quote(table)} ({', '.join(map(quote, columns))})"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {into} FROM STDIN") as stream:
                for row in rows:
                    stream.write_row(row)
        else:
            placeholders = ", ".join(["%s"] * len(columns))
            cursor.executemany(f"INSERT INTO {into} VALUES ({placeholders})", rows)


def _new_keys(meta: Any, count: int) -> Iterable[int]:
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


def _column(field: models.Field, objects: Sequence[models.Model]) -> list:
    """The values of a field as the database takes them."""
    values = [item.__dict__[field.attname] for item in objects]
    prepared = _prepared(field)
    if values and isinstance(values[0], datetime):
        known = {value: prepared(value) for value in set(values)}
        return [known[value] for value in values]
    plain = PLAIN.get(type(field))
    return [value if value is None or type(value) is plain else prepared(value) for value in values]


def _prepared(field: models.Field) -> Callable[[Any], Any]:
    return lambda value: field.get_db_prep_save(value, connection)
