"""The ASGI application."""

from config.wsgi import application as wsgi  # sets up Django, which the imports below need

# isort: split
from typing import Any

from django.db import close_old_connections

from config.gateway import Gateway
from people import request_limits


def largest(environ: dict[str, Any]) -> int:
    """The largest body of this request, in bytes."""
    close_old_connections()  # Django does so when a request starts, which is later
    return request_limits.largest(environ)


application = Gateway(wsgi, largest)
