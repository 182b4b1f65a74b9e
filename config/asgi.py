"""The ASGI application."""

from config.wsgi import application as wsgi  # sets up Django, which the imports below need

# isort: split
import signal
from typing import Any

from django.conf import settings
from django.db import Error, close_old_connections

from config.gateway import Gateway, Refused
from people import faults, request_limits


def largest(environ: dict[str, Any]) -> int:
    """The largest body of this request, in bytes. Raises Refused."""
    try:
        close_old_connections()  # Django does so when a request starts, which is later
        return request_limits.largest(environ)
    except Error as error:
        if faults.database_is_away(error):
            raise Refused(503) from error
        raise


application = Gateway(wsgi, largest, settings.PATH)


def leave(*_: Any) -> None:
    """Keep no connection open: config/run/web.py ends this process in a moment, and a request that
    was sent on an open connection at that time would be lost.
    """
    application.leaves = True


signal.signal(signal.SIGUSR1, leave)
