"""Django's PostgreSQL backend, with prepared statements for compiled queries.

The server parses and plans a compiled query (`people/db/compiled.py`) once per connection. All
other queries are sent as Django sends them. (Django's option `server_side_binding` would bind all
queries at the server; but it then truncates a number that is too large for its field to two bytes
without an error, in an expression like `F("priority") * 2**46`.)

Before each request Django checks whether the connection is alive. The socket shows that without a
round trip, because a closing server sends data.
"""

from __future__ import annotations

import select
from typing import Any

from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper
from psycopg import sql
from psycopg.types.numeric import Int2, Int4, Int8Dumper

WHOLE = (int, Int2, Int4)


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        # As bigint: psycopg would otherwise choose a type by the size of the number, which makes
        # several statements of one query. The server reports a number that is too large.
        for kind in WHOLE:
            connection.adapters.register_dumper(kind, Int8Dumper)
        return connection

    def prepared_cursor(self) -> CursorWrapper:
        """A cursor with server-side binding, which prepares repeated statements."""
        self.ensure_connection()
        with self.wrap_database_errors:
            return self._prepare_cursor(base.ServerBindingCursor(self.connection))

    def literal(self, value: Any) -> str:
        """A value as an SQL literal."""
        self.ensure_connection()
        return sql.Literal(value).as_string(self.connection)

    def is_usable(self) -> bool:
        if self.connection is None or self.connection.broken:
            return False
        readable = select.poll()
        readable.register(self.connection.fileno(), select.POLLIN)
        return not readable.poll(0)  # no query is running, so any data means that the server closes
