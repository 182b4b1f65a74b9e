"""The lines of the log, as text or as JSON, and the id of the request that they belong to.

An id that a proxy sent as X-Request-ID is kept, any other request gets one. It goes back with the
response, and with Celery's messages into the logs of workers.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from contextvars import ContextVar
from copy import copy
from time import perf_counter
from typing import Any
from uuid import uuid4

from celery import Task, signals
from django.http import HttpRequest, HttpResponse
from django.utils.functional import empty
from pythonjsonlogger.json import JsonFormatter

access = logging.getLogger("podium.access")
WELL_FORMED = re.compile(r"[\w.:=/+-]{1,100}", re.ASCII)
# of invitations and new passwords, with whose links anybody could act; a slash may be missing
SECRET = re.compile(r"(/(?:join|password)/).+", re.DOTALL)
_request_id: ContextVar[str] = ContextVar("request_id", default="")


class Formatter(logging.Formatter):
    """Text. A record of a request says who sent it."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(_of_request(record))


class Json(JsonFormatter):
    """One JSON object a line; it names the process, and the request if it belongs to one."""

    def __init__(self, **options: Any):
        process = os.environ.get("SUPERVISOR_PROCESS_NAME", "")
        super().__init__(**options, static_fields={"process": process} if process else None)

    def format(self, record: logging.LogRecord) -> str:
        line = copy(_of_request(record))
        request = vars(line).pop("request", None)  # of Django or Celery; it is no JSON
        # Django logs some refusals when the middleware has ended
        if request_id := _request_id.get() or getattr(request, "request_id", ""):
            line.request_id = request_id
        return super().format(line)


def _of_request(record: logging.LogRecord) -> logging.LogRecord:
    """A record that says who sent its request. A refusal (403, 404, …) and a fault of what lies
    below (no database, no space) are one line: a traceback says nothing useful about them.
    """
    request = getattr(record, "request", None)
    if not isinstance(request, HttpRequest):
        return record
    line = copy(record)
    line.msg, line.args = f"{record.getMessage()} ({sender(request)})", ()
    status = getattr(record, "status_code", 500)
    if status in (503, 507) and record.exc_info:
        line.msg += f": {record.exc_info[1]}"
    if status < 500 or status in (503, 507):
        line.exc_info = line.exc_text = line.stack_info = None
        line.msg = line.msg.replace("\r", "\\r").replace("\n", "\\n")
    return line


class LogRequests:
    """Give each request its id, and log it once it is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        start = perf_counter()
        request_id = request.request_id = sent_id(request) or uuid4().hex
        token = _request_id.set(request_id)
        try:
            response = self.get_response(request)
            response["X-Request-ID"] = request_id
            if access.isEnabledFor(logging.INFO):
                _log(request, response, 1000 * (perf_counter() - start))
            return response
        finally:
            _request_id.reset(token)


def _log(request: HttpRequest, response: HttpResponse, milliseconds: float) -> None:
    """Without the query, which may hold what people searched for, and without links' secrets."""
    facts = {
        "method": request.method,
        "path": SECRET.sub(r"\1***", request.path),
        "status": response.status_code,
        "user": getattr(loaded_user(request), "pk", None),
        "address": request.META.get("REMOTE_ADDR", ""),
        "ms": round(milliseconds, 1),
    }
    access.info("request", extra=facts)


@signals.before_task_publish.connect
def _send_id(headers: dict[str, Any], **_: Any) -> None:
    if request_id := _request_id.get():
        headers["request_id"] = request_id


@signals.task_prerun.connect
def _take_id(task: Task, **_: Any) -> None:
    _request_id.set(task.request.get("request_id") or "")


@signals.task_postrun.connect
def _drop_id(**_: Any) -> None:
    _request_id.set("")


def current_id() -> str:
    """The id of the request that is being answered; none outside of one."""
    return _request_id.get()


def sent_id(request: HttpRequest) -> str:
    """The id that a proxy gave the request, if one did and it can't forge a line."""
    request_id = request.META.get("HTTP_X_REQUEST_ID", "")
    return request_id if WELL_FORMED.fullmatch(request_id) else ""


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
    if request_id := sent_id(request):
        words.append(f"request {request_id}")
    return ", ".join(words)


def loaded_user(request: HttpRequest) -> Any:
    """The user of a request, if some code has loaded it; the database is not asked."""
    user = getattr(request, "user", None)
    user = getattr(user, "_wrapped", user)  # of Django's lazy object
    return None if user is empty else user
