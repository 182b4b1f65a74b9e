"""A page waits for PostgreSQL for a limited time, whatever the server or the network does."""

import socket
import struct
from threading import Thread

import pytest
from django.db import OperationalError, connection
from psycopg import OperationalError as PsycopgError

from people.db.postgresql.base import DatabaseWrapper
from tests.config.test_settings import read

READY = b"R" + struct.pack("!II", 8, 0) + b"Z" + struct.pack("!I", 5) + b"I"


class SilentServer:
    """Takes connections and answers nothing; or lets clients in, and answers no query."""

    def __init__(self, lets_in: bool):
        self.lets_in, self.held = lets_in, []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]

    def __enter__(self):
        Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        for sock in (self.listening, *self.held):
            sock.close()

    def serve(self):
        while True:
            try:
                sock, _address = self.listening.accept()
            except OSError:
                return
            if self.lets_in and not self.held:
                sock.recv(1000)
                sock.sendall(READY)
            elif self.lets_in:  # it asks to cancel a query
                sock.close()
                continue
            self.held.append(sock)


def wrapper(port, **options):
    return DatabaseWrapper(
        {
            "NAME": "podium",
            "USER": "podium",
            "PASSWORD": "",
            "HOST": "127.0.0.1",
            "PORT": port,
            "OPTIONS": {"sslmode": "disable", "gssencmode": "disable"} | options,
            "CONN_MAX_AGE": 0,
            "CONN_HEALTH_CHECKS": False,
            "AUTOCOMMIT": True,
            "TIME_ZONE": None,
            "ATOMIC_REQUESTS": False,
        }
    )


def test_a_server_that_takes_connections_and_says_nothing_is_left():
    with SilentServer(lets_in=False) as server:
        database = wrapper(server.port, connect_timeout=2)  # psycopg's shortest
        with pytest.raises(PsycopgError, match="timeout"):
            database.get_new_connection(database.get_connection_params())


def test_a_query_that_is_never_answered_is_left_and_its_connection_closed():
    with SilentServer(lets_in=True) as server:
        database = wrapper(server.port, statement_seconds=0.2)
        database.connection = database.get_new_connection(database.get_connection_params())
        with pytest.raises(PsycopgError, match=r"gave no answer for 0\.2 s"):
            database.connection.execute("SELECT 1")

    assert database.connection.closed
    assert not database.is_usable()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="of PostgreSQL")
@pytest.mark.django_db(transaction=True)
def test_a_slow_statement_of_a_page_ends_and_the_next_one_works():
    page = connection.copy()
    page.settings_dict["OPTIONS"] = page.settings_dict["OPTIONS"] | {"statement_seconds": 0.2}
    try:
        with pytest.raises(OperationalError, match="gave no answer"), page.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60)")
        page.close_if_unusable_or_obsolete()
        with page.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(6%'")
            assert cursor.fetchone() == (1,), "this one alone: the other was cancelled"
    finally:
        page.close()


def test_only_pages_have_the_limits(monkeypatch):
    settings = read(monkeypatch, DATABASE_URL="postgres://podium@db.example/podium")
    pages = settings["PAGE_DATABASE_OPTIONS"]

    assert pages == {"connect_timeout": 3, "tcp_user_timeout": 5000, "statement_seconds": 20}
    assert not pages.keys() & settings["DATABASES"]["default"]["OPTIONS"].keys()
