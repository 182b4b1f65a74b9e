"""Django's PostgreSQL backend, with prepared statements for queries that are composed once
(`people/db/compiled.py`).

The server reads and plans such a query once for each connection; other queries go the way that
Django sends them. (To bind all of them at the server is Django's option; it then cuts a number that
is too large for its field to its last two bytes without a word, in an expression like
`F("priority") * 2**46`.)

Before each request Django asks whether the connection still lives. The socket tells that without a
round trip: the end of a server arrives there by itself.
"""

import select

from django.db.backends.postgresql import base
from psycopg import sql
from psycopg.types.numeric import Int2, Int4, Int8Dumper

WHOLE = (int, Int2, Int4)


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params):
        connection = super().get_new_connection(conn_params)
        # as bigint: by its size one query would be several, and the server tells what is too large
        for kind in WHOLE:
            connection.adapters.register_dumper(kind, Int8Dumper)
        return connection

    def prepared_cursor(self):
        """A cursor whose parameters the server binds; what it is asked again and again is prepared
        there.
        """
        self.ensure_connection()
        with self.wrap_database_errors:
            return self._prepare_cursor(base.ServerBindingCursor(self.connection))

    def literal(self, value) -> str:
        """A value as it stands in SQL."""
        self.ensure_connection()
        return sql.Literal(value).as_string(self.connection)

    def is_usable(self) -> bool:
        if self.connection is None or self.connection.broken:
            return False
        readable = select.poll()
        readable.register(self.connection.fileno(), select.POLLIN)
        return not readable.poll(0)  # nothing was asked, so anything that arrives is a farewell
