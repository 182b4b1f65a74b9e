"""`column IN values`, with all the values as one parameter.

Django's `in` makes a placeholder of each value, and prepares and binds each one by itself: with
hundreds of values that takes longer than the database needs to find their rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.db.models import F, Lookup


class Among(Lookup):
    """For texts and whole numbers; none of the values may be None."""

    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list]:
        column, params = self.process_lhs(compiler, connection)
        if connection.vendor == "postgresql":
            return f"{column} = ANY(%s)", [*params, self.rhs]
        return f"{column} IN (SELECT value FROM json_each(%s))", [*params, json.dumps(self.rhs)]


def among(column: str, values: Iterable[str] | Iterable[int]) -> Among:
    """The condition of a filter() that the column is one of these values: of none, no row."""
    return Among(F(column), list(values))
