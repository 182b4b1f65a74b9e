"""Django's PostgreSQL backend, with prepared statements for compiled queries.

The server parses and plans a compiled query (`people/db/compiled.py`) once per connection. All
other queries are sent as Django sends them. (Django's option `server_side_binding` would bind all
queries at the server; but it then truncates a number that is too large for its field to two bytes
without an error, in an expression like `F("priority") * 2**46`.)

A statement may have a time limit: the option `statement_seconds`. This process keeps it, since a
server that has gone silent can't, and since a pooler would hand a setting of the session on.

Before each request Django checks whether the connection is alive. The socket shows that without a
round trip, because a closing server sends data.
"""

from __future__ import annotations

import select
from functools import partial
from typing import Any

from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper
from psycopg import Connection, OperationalError, errors, sql
from psycopg.types.numeric import Int2, Int4, Int8Dumper

from people.db import clock

WHOLE = (int, Int2, Int4)
CANCEL_SECONDS = 1


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        params = super().get_connection_params()
        self.statement_seconds = params.pop("statement_seconds", None)
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        if self.statement_seconds is not None:
            # psycopg's cursors wait for the server through this method
            connection.wait = partial(_wait, connection, seconds=self.statement_seconds)
        # As bigint: psycopg would otherwise choose a type by the size of the number, which makes
        # several statements of one query. The server reports a number that is too large.
        for kind in WHOLE:
            connection.adapters.register_dumper(kind, Int8Dumper)
        return connection

    def init_connection_state(self) -> None:
        super().init_connection_state()
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            clock.set_to(cursor.fetchone()[0])

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
        if self.connection is None or self.connection.closed:
            return False
        readable = select.poll()
        readable.register(self.connection.fileno(), select.POLLIN)
        return not readable.poll(0)  # no query is running, so any data means that the server closes


def _wait(
    connection: Connection, *arguments: Any, seconds: float, timeout: Any = None, **named: Any
) -> Any:
    """psycopg's Connection.wait with a time limit. Raises OperationalError; the connection is then
    closed, because the answer may still come.
    """
    if timeout is not None:
        return Connection.wait(connection, *arguments, timeout=timeout, **named)
    try:
        return Connection.wait(connection, *arguments, timeout=seconds, **named)
    except errors._WaitTimeout:
        connection._try_cancel(timeout=CANCEL_SECONDS)
        connection.close()
        raise OperationalError(f"the database gave no answer for {seconds} s") from None
