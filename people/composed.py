"""Queries whose SQL is composed once. Django composes it anew each time, which takes ten times as long as the database
for a row by its index: too long where ten of them stand between a labeler and the next task.

    @composed
    def held(labeler, project, until):
        return Assignment.objects.filter(labeler=labeler, project=project, leased_until__gte=until).values_list("pk")

    held(labeler.pk, project.pk, now())  # a list of tuples

Of a queryset without `values_list` the rows are model instances, with what `select_related` names; of `update(…)` and
`insert_once(…)` their number is told. The arguments stand for single values (a key, a number, a text, a date, a UUID,
JSON; not None) wherever Django takes an expression: what the query looks like can't depend on them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime
from functools import update_wrapper
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


def insert_once(model: type[models.Model], **values: Any) -> Query:
    """An INSERT for `composed`: of one row, unless one that must be unique is there already. Defaults are not filled in."""
    fields = {model._meta.get_field(name): value for name, value in values.items()}
    row = SimpleNamespace(**{field.attname: value for field, value in fields.items()})
    query = InsertQuery(model, on_conflict=OnConflict.IGNORE)
    query.insert_values(list(fields), [row], raw=True)
    return query


class composed:
    """Decorates a function that makes a queryset or an update of its arguments, by position."""

    def __init__(self, build: Callable[..., QuerySet | Query]):
        self.build, self.names = build, list(inspect.signature(build).parameters)
        self.composed: tuple | None = None
        update_wrapper(self, build)

    def __call__(self, *values: Any) -> list[Any] | int:
        sql, constants, read = self.composed = self.composed or self._compose()
        given = {name: adapted(value) for name, value in zip(self.names, values, strict=True)}
        with connection.cursor() as cursor:
            cursor.execute(sql, [given[one.name] if isinstance(one, Slot) else one for one in constants])
            return read(cursor)

    def _compose(self) -> tuple[str, tuple, Callable]:
        made = self.build(*map(Slot, self.names))
        query = made if isinstance(made, Query) else made.query
        compiler = query.get_compiler(connection=connection)
        if isinstance(query, InsertQuery):
            [(sql, constants)] = compiler.as_sql()
        else:
            sql, constants = compiler.as_sql()
        return sql, constants, (lambda cursor: cursor.rowcount) if query is made else reader(compiler, made)


def reader(compiler, rows: QuerySet) -> Callable[[Any], list[Any]]:
    """What makes instances or tuples of the rows that a cursor brings."""
    columns = [column for column, _sql, _alias in compiler.select]
    converters = compiler.get_converters(columns)

    def read(cursor) -> list[Any]:
        found = cursor.fetchall()
        return list(map(tuple, compiler.apply_converters(found, converters))) if converters else found

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
