"""What the web server serves."""

from config.wsgi import application as wsgi  # sets Django up, which the rest needs

# isort: split
from typing import Any

from django.db import close_old_connections

from config.gateway import Gateway
from people import request_limits


def largest(environ: dict[str, Any]) -> int:
    close_old_connections()  # as each request begins; this comes before
    return request_limits.largest(environ)


application = Gateway(wsgi, largest)
