"""Queries whose SQL is compiled once. Django compiles the SQL of a queryset at each use, which
takes ten times as long as a lookup by index takes the database. That is too slow where the next
task of a labeler needs ten queries.

    @compiled
    def held(labeler, project, until):
        held = Assignment.objects.filter(labeler=labeler, project=project)
        return held.filter(leased_until__gte=until).values_list("pk")

    held(labeler.pk, project.pk, now())  # a list of tuples

A queryset without `values_list` returns model instances, with the relations of `select_related`;
`update(…)` returns the number of rows. An argument is a placeholder for a single value (a key, a
number, a text, a date, a UUID, JSON; not None) wherever Django accepts an expression. The shape of
the query can't depend on it.

`insert(row)`, `insert_once(row)` and `insert_all(rows, …)` save new rows. They send no signals, and
`insert_all` does not set primary keys.

On PostgreSQL these statements are prepared. Constants become part of the SQL: the planner uses a
partial index only when it sees the values of its condition, and SQLite plans a query anew at each
use where such a value is bound.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache, update_wrapper
from types import SimpleNamespace
from typing import Any, Generic, ParamSpec, TypeVar, overload
from uuid import UUID

from django.db import connection, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import Expression, QuerySet
from django.db.models.constants import OnConflict
from django.db.models.query import get_related_populators
from django.db.models.sql import InsertQuery, Query, UpdateQuery
from django.db.models.sql.compiler import SQLCompiler

P = ParamSpec("P")  # the arguments of a compiled query
Row = TypeVar("Row")  # of its result
Result = TypeVar("Result")


class Slot(Expression):
    """The placeholder of an argument in the SQL."""

    def __init__(self, name: str):
        super().__init__(output_field=models.Field())
        self.name = name

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list]:
        return "%s", [self]


def update(rows: QuerySet, **values: Any) -> Query:
    """An UPDATE of these rows to these values, for a function that `compiled` decorates."""
    query = rows.query.chain(UpdateQuery)
    query.add_update_values(values)
    return query


class compiled(Generic[P, Result]):
    """Decorator for a function that returns a queryset or an `update`.

    The function runs once, with placeholders. Its arguments are passed by position.
    """

    @overload
    def __init__(self: compiled[P, list[Row]], build: Callable[P, QuerySet[Any, Row]]): ...

    @overload
    def __init__(self: compiled[P, int], build: Callable[P, Query]): ...

    def __init__(self, build: Callable[P, QuerySet | Query]):
        self.build, self.names = build, list(inspect.signature(build).parameters)
        self.compiled: tuple | None = None
        update_wrapper(self, build)

    def __call__(self, *values: P.args, **_none: P.kwargs) -> Result:
        sql, slots, read = self.compiled = self.compiled or self._compile()
        arguments = {name: adapted(value) for name, value in zip(self.names, values, strict=True)}
        parameters = [arguments[slot.name] if isinstance(slot, Slot) else slot for slot in slots]
        with prepared_cursor() as cursor:
            cursor.execute(sql, parameters)
            return read(cursor)

    def _compile(self) -> tuple[str, list, Callable]:
        built = self.build(*map(Slot, self.names))
        query = built if isinstance(built, Query) else built.query
        compiler = query.get_compiler(connection=connection)
        sql, values = with_literals(*compiler.as_sql())
        if query is built:  # an update
            return sql, values, lambda cursor: cursor.rowcount
        return sql, values, reader(compiler, built)


def prepared_cursor() -> CursorWrapper:
    """A cursor that prepares statements on PostgreSQL. SQLite's driver caches them anyway."""
    return getattr(connection, "prepared_cursor", connection.cursor)()


def with_literals(sql: str, values: Iterable[Any]) -> tuple[str, list[Any]]:
    """The SQL with its constants as literals, and the remaining placeholders."""
    values = list(values)
    replacements = iter(
        "%s" if isinstance(value, Slot) else connection.literal(value).replace("%", "%%")
        for value in values
    )

    def replace(match: re.Match) -> str:
        return next(replacements) if match[1] == "s" else match[0]

    slots = [value for value in values if isinstance(value, Slot)]
    return re.sub("%(.)", replace, sql), slots


def insert(row: models.Model) -> None:
    """Save a new row and set its primary key."""
    _insert([row])


def insert_once(row: models.Model) -> bool:
    """Save a new row. False where a unique constraint already has such a row."""
    return _insert([row], ignoring=True)


def insert_all(*groups: Sequence[models.Model]) -> None:
    """Save a few new rows, one group for each model; PostgreSQL runs them as one statement. Primary
    keys are not set, and no group may refer to rows of another one.

    The statement of each number of rows is cached, so keep that number small.
    """
    statements = []
    for rows in filter(None, groups):
        sql, fields = _insertion(type(rows[0]), len(rows), ignoring=False, returning=False)
        statements.append((sql, _values(rows, fields)))
    _execute(statements)


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


def _values(rows: Sequence[models.Model], fields: list[models.Field]) -> list[Any]:
    return [
        field.get_db_prep_save(field.pre_save(row, True), connection)
        for row in rows
        for field in fields
    ]


@lru_cache
def _insertion(
    model: type[models.Model], count: int, ignoring: bool, returning: bool = True
) -> tuple[str, list[models.Field]]:
    """The INSERT of `count` rows, and the fields of each row whose values it takes.

    `ignoring`: skip rows that violate a unique constraint. `returning`: return primary keys.
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
    compiler.returning_fields = [model._meta.pk] if returning else []
    [(sql, _values)] = compiler.as_sql()
    return sql, fields


def reader(compiler: SQLCompiler, rows: QuerySet) -> Callable[[Any], list[Any]]:
    """A function that reads model instances or tuples from a cursor."""
    columns = [column for column, _sql, _alias in compiler.select]
    converters = compiler.get_converters(columns)

    def read(cursor: CursorWrapper) -> list[Any]:
        records = cursor.fetchall()
        if not converters:
            return records
        return [tuple(row) for row in compiler.apply_converters(records, converters)]

    if not rows.query.default_cols:
        return read
    own = compiler.klass_info["select_fields"]
    names = [columns[number].target.attname for number in own]
    related = get_related_populators(compiler.klass_info, compiler.select, connection.alias)

    def as_instance(row: tuple) -> models.Model:
        instance = rows.model.from_db(connection.alias, names, row[own[0] : own[-1] + 1])
        for populator in related:
            populator.populate(row, instance)
        return instance

    return lambda cursor: [as_instance(row) for row in read(cursor)]


def adapted(value: Any) -> Any:
    """A value in the form that the database driver accepts."""
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, UUID) and not connection.features.has_native_uuid_field:
        return value.hex
    if isinstance(value, dict | list):
        return connection.ops.adapt_json_value(value, None)
    return value
