"""Health checks: /livez (this process answers), /readyz (what it needs answers too) and /healthz
(the workers as well), for supervisors, load balancers and `make up`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import redis
from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from modelops import liveness, store
from modelops.kinds import QUEUES
from modelops.stores import StoreFault
from people import scheduled_backups

SECONDS = 2  # for all checks of a request: they run at once
LEAST_FREE = 100 * 10**6  # bytes in the data folder; with fewer the disk counts as full
_pool = ThreadPoolExecutor(8, "health")


@require_safe
@never_cache
def livez(request: HttpRequest) -> JsonResponse:
    """200 while this process answers at all."""
    return JsonResponse({"ok": True})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when database, broker, store and disk are ready; 503 otherwise."""
    return _respond(_checked(**_parts()))


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """The same, a worker of each queue, and the last scheduled backup."""
    backup = {"backup": _backup} if settings.BACKUP_CRON else {}
    state = _checked(**_parts(), **backup, workers=_workers)
    if not isinstance(state["workers"], dict):  # the broker, which knows them, is not reached
        state["workers"] = dict.fromkeys(QUEUES, 0)
    return _respond(state)


def _parts() -> dict[str, Callable[[], str]]:
    return {"database": _database, "broker": _broker, "store": _store, "disk": _disk}


def _respond(state: dict[str, Any]) -> JsonResponse:
    counts = state.get("workers", {})
    ok = all(part == "ok" for part in state.values() if part is not counts)
    ok = ok and all(counts.values())
    response = JsonResponse({"ok": ok} | state, status=200 if ok else 503)
    # Django would log each 503 as an error: several a second while Podium starts.
    response._has_been_logged = True
    return response


def _checked(**checks: Callable[[], Any]) -> dict[str, Any]:
    """What each check says, or that it took too long. A check that hangs holds no request."""
    running = {name: _pool.submit(check) for name, check in checks.items()}
    wait(running.values(), SECONDS)
    return {name: _result(future) for name, future in running.items()}


def _result(future: Future) -> Any:
    if future.done():
        return future.result()
    future.cancel()
    return f"no answer within {SECONDS} seconds"


def _database() -> str:
    """Asked by a connection of its own, as this thread belongs to no request."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        # without the full text, which may contain hosts and accounts
        return f"not reached ({type(error).__name__})"
    finally:
        connection.close()
    return "ok"


def _broker() -> str:
    try:
        with liveness.broker() as client:
            client.ping()
    except redis.RedisError as error:
        return f"not reached ({type(error).__name__})"
    return "ok"


def _store() -> str:
    try:
        store.check()
    except StoreFault as error:
        return f"not reached ({type(error).__name__})"
    return "ok"


def _backup() -> str:
    try:
        return scheduled_backups.state()
    except Error:
        return "unknown: the database is not reached"
    finally:
        connection.close()


def _workers() -> dict[str, int]:
    try:
        with liveness.broker() as client:
            return liveness.alive(client)
    except redis.RedisError:
        return dict.fromkeys(QUEUES, 0)


def _disk() -> str:
    try:
        free = shutil.disk_usage(settings.VAR).free
    except OSError as error:
        return f"not reached ({type(error).__name__})"
    return "ok" if free >= LEAST_FREE else f"full ({free / 1e6:.0f} MB free)"
