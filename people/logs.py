"""The lines of the log."""

import logging
import re
from copy import copy
from typing import Any

from django.http import HttpRequest
from django.utils.functional import empty


class Formatter(logging.Formatter):
    """A record of a request says who sent it. A refusal (403, 404, …) and a fault of what lies
    below (no database, no space) are one line: a traceback says nothing useful about them.
    """

    def format(self, record: logging.LogRecord) -> str:
        request = getattr(record, "request", None)
        if not isinstance(request, HttpRequest):
            return super().format(record)
        line = copy(record)
        line.msg, line.args = f"{record.getMessage()} ({sender(request)})", ()
        status = getattr(record, "status_code", 500)
        if status in (503, 507) and record.exc_info:
            line.msg += f": {record.exc_info[1]}"
        if status < 500 or status in (503, 507):
            line.exc_info = line.exc_text = line.stack_info = None
            line.msg = line.msg.replace("\r", "\\r").replace("\n", "\\n")
        return super().format(line)


def sender(request: HttpRequest) -> str:
    """Method, account and address of a request, and the id that a proxy gave it, if one did.

    The account is named by its key, which is no personal data; the database is not asked for it.
    """
    account = getattr(loaded_user(request), "pk", None)
    words = [
        str(request.method),
        f"user {account}" if account else "no user",
        f"from {request.META.get('REMOTE_ADDR') or 'unknown'}",
    ]
    request_id = request.META.get("HTTP_X_REQUEST_ID", "")
    if re.fullmatch(r"[\w.:=/+-]{1,100}", request_id, re.ASCII):
        words.append(f"request {request_id}")
    return ", ".join(words)


def loaded_user(request: HttpRequest) -> Any:
    """The user of a request, if some code has loaded it; the database is not asked."""
    user = getattr(request, "user", None)
    user = getattr(user, "_wrapped", user)  # of Django's lazy object
    return None if user is empty else user
