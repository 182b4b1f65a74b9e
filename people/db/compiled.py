"""Queries whose SQL is composed once. Django composes it anew each time, which takes ten times as
long as the database for a row by its index: too long where ten of them stand between a labeler and
the next task.

    @composed
    def held(labeler, project, until):
        return Assignment.objects.filter(labeler=labeler, project=project, leased_until__gte=until).values_list("pk")

    held(labeler.pk, project.pk, now())  # a list of tuples

Of a queryset without `values_list` the rows are model instances, with what `select_related` names;
of `update(…)` their number is told. The arguments stand for single values (a key, a number, a text,
a date, a UUID, JSON; not None) wherever Django takes an expression: what the query looks like can't
depend on them.

New rows are saved by `insert(row)`, `insert_once(row)`, and `insert_all(rows)`, which tells no
keys: no signals are sent.

On PostgreSQL these statements are prepared. What is not an argument is written into them: the
planner must see it, or it passes over an index that has a condition.
"""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache, update_wrapper
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.db import connection, models
from django.db.models import Expression, QuerySet
from django.db.models.constants import OnConflict
from django.db.models.query import get_related_populators
from django.db.models.sql import InsertQuery, Query, UpdateQuery


class Slot(Expression):
    """The place of an argument in the SQL."""

    def __init__(self, name: str):
        super().__init__(output_field=models.Field())
        self.name = name

    def as_sql(self, compiler, connection):
        return "%s", [self]


def update(rows: QuerySet, **values: Any) -> Query:
    """An UPDATE for `composed`: of these rows, to these values."""
    query = rows.query.chain(UpdateQuery)
    query.add_update_values(values)
    return query


class composed:
    """Decorates a function that makes a queryset or an update of its arguments, by position."""

    def __init__(self, build: Callable[..., QuerySet | Query]):
        self.build, self.names = build, list(inspect.signature(build).parameters)
        self.composed: tuple | None = None
        update_wrapper(self, build)

    def __call__(self, *values: Any) -> list[Any] | int:
        sql, slots, read = self.composed = self.composed or self._compose()
        given = {name: adapted(value) for name, value in zip(self.names, values, strict=True)}
        with prepared_cursor() as cursor:
            cursor.execute(
                sql, [given[one.name] if isinstance(one, Slot) else one for one in slots]
            )
            return read(cursor)

    def _compose(self) -> tuple[str, list, Callable]:
        made = self.build(*map(Slot, self.names))
        query = made if isinstance(made, Query) else made.query
        compiler = query.get_compiler(connection=connection)
        sql, values = written(*compiler.as_sql())
        return (
            sql,
            values,
            (lambda cursor: cursor.rowcount) if query is made else reader(compiler, made),
        )


def prepared_cursor():
    """PostgreSQL reads and plans a statement once; SQLite's driver keeps what it has read either
    way.
    """
    return getattr(connection, "prepared_cursor", connection.cursor)()


def written(sql: str, values: Iterable[Any]) -> tuple[str, list[Any]]:
    """The SQL with what is no argument written into it, where the database prepares it; and what is
    left to be given.
    """
    values = list(values)
    if not hasattr(connection, "literal"):
        return sql, values
    rest = iter(
        "%s" if isinstance(one, Slot) else connection.literal(one).replace("%", "%%")
        for one in values
    )
    sql = re.sub("%(.)", lambda found: next(rest) if found[1] == "s" else found[0], sql)
    return sql, [one for one in values if isinstance(one, Slot)]


def insert(row: models.Model) -> None:
    """Save a new row, which gets its key."""
    _insert([row])


def insert_once(row: models.Model) -> bool:
    """The same, unless a row that must be unique is there already: False."""
    return _insert([row], ignoring=True)


def insert_all(rows: list[models.Model]) -> None:
    """Save some new rows of one model at once. For each number of them there is one statement: they
    are to be few.
    """
    sql, fields = _insertion(type(rows[0]), len(rows), ignoring=False, telling=False)
    statement = sql, _values(rows, fields)
    waiting = getattr(_here, "waiting", None)
    if waiting is None:
        _execute([statement])
    else:
        waiting.append(statement)


@contextmanager
def together() -> Iterator[None]:
    """What `insert_all` saves inside is sent at the end, to PostgreSQL as one statement. Inside a
    transaction, and not one in another.
    """
    _here.waiting = waiting = []
    try:
        yield
    finally:
        _here.waiting = None
    if waiting:
        _execute(waiting)


_here = threading.local()


def _execute(statements: list[tuple[str, list]]) -> None:
    if connection.vendor == "postgresql" and len(statements) > 1:
        *before, (last, _last_values) = statements
        named = ", ".join(
            f"part{number} AS ({sql})" for number, (sql, _values) in enumerate(before)
        )
        statements = [
            (f"WITH {named} {last}", [value for _sql, values in statements for value in values])
        ]
    for sql, values in statements:
        with prepared_cursor() as cursor:
            cursor.execute(sql, values)


def _insert(rows: list[models.Model], ignoring: bool = False) -> bool:
    sql, fields = _insertion(type(rows[0]), len(rows), ignoring)
    with prepared_cursor() as cursor:
        cursor.execute(sql, _values(rows, fields))
        keys = cursor.fetchall()
    for row, (row.pk,) in zip(rows, keys):
        row._state.adding, row._state.db = False, connection.alias
    return bool(keys)


def _values(rows: list[models.Model], fields: list[models.Field]) -> list[Any]:
    return [
        field.get_db_prep_save(field.pre_save(row, True), connection)
        for row in rows
        for field in fields
    ]


@lru_cache
def _insertion(
    model: type[models.Model], count: int, ignoring: bool, telling: bool = True
) -> tuple[str, list[models.Field]]:
    """The INSERT of so many rows, telling their keys or not, and the fields whose values it takes
    of each.
    """
    fields = [
        field
        for field in model._meta.concrete_fields
        if not field.primary_key and not field.generated
    ]
    row = SimpleNamespace(**{field.attname: Slot(field.attname) for field in fields})
    query = InsertQuery(model, on_conflict=OnConflict.IGNORE if ignoring else None)
    query.insert_values(fields, [row] * count, raw=True)
    compiler = query.get_compiler(connection=connection)
    compiler.returning_fields = [model._meta.pk] if telling else []
    [(sql, _values)] = compiler.as_sql()
    return sql, fields


def reader(compiler, rows: QuerySet) -> Callable[[Any], list[Any]]:
    """What makes instances or tuples of the rows that a cursor brings."""
    columns = [column for column, _sql, _alias in compiler.select]
    converters = compiler.get_converters(columns)

    def read(cursor) -> list[Any]:
        found = cursor.fetchall()
        return (
            list(map(tuple, compiler.apply_converters(found, converters))) if converters else found
        )

    if not rows.query.default_cols:
        return read
    own = compiler.klass_info["select_fields"]
    names = [columns[number].target.attname for number in own]
    related = get_related_populators(compiler.klass_info, compiler.select, connection.alias)

    def instance(row: tuple) -> models.Model:
        made = rows.model.from_db(connection.alias, names, row[own[0] : own[-1] + 1])
        for one in related:
            one.populate(row, made)
        return made

    return lambda cursor: list(map(instance, read(cursor)))


def adapted(value: Any) -> Any:
    """A value as this database's driver takes it."""
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, UUID) and not connection.features.has_native_uuid_field:
        return value.hex
    if isinstance(value, dict | list):
        return connection.ops.adapt_json_value(value, None)
    return value
