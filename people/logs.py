"""The lines of the log."""

import logging
import re
from copy import copy

from django.http import HttpRequest
from django.utils.functional import empty


class Formatter(logging.Formatter):
    """A record of a request says who sent it. A response below 500 (403, 404, …) is one line: its
    traceback says nothing useful.
    """

    def format(self, record: logging.LogRecord) -> str:
        request = getattr(record, "request", None)
        if not isinstance(request, HttpRequest):
            return super().format(record)
        line = copy(record)
        line.msg, line.args = f"{record.getMessage()} ({sender(request)})", ()
        if getattr(record, "status_code", 500) < 500:
            line.exc_info = line.exc_text = line.stack_info = None
            line.msg = line.msg.replace("\r", "\\r").replace("\n", "\\n")
        return super().format(line)


def sender(request: HttpRequest) -> str:
    """Method, account and address of a request, and the id that a proxy gave it, if one did.

    The account is named by its key, which is no personal data; the database is not asked for it.
    """
    user = getattr(request, "user", None)
    user = getattr(user, "_wrapped", user)  # django's lazy object
    account = None if user is empty else getattr(user, "pk", None)
    words = [
        str(request.method),
        f"user {account}" if account else "no user",
        f"from {request.META.get('REMOTE_ADDR') or 'unknown'}",
    ]
    request_id = request.META.get("HTTP_X_REQUEST_ID", "")
    if re.fullmatch(r"[\w.:=/+-]{1,100}", request_id, re.ASCII):
        words.append(f"request {request_id}")
    return ", ".join(words)
