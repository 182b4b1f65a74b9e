"""/healthz: the health check for supervisors, load balancers and `make up`."""

import redis
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from modelops.kinds import QUEUES
from workers import heartbeat


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when the database, the broker and a worker of each queue respond; 503 otherwise."""
    database = _database()
    broker, workers = _broker()
    ok = database == broker == "ok" and all(workers.values())
    state = {"ok": ok, "database": database, "broker": broker, "workers": workers}
    response = JsonResponse(state, status=200 if ok else 503)
    # Django would log each 503 as an error: several a second while Podium starts.
    response._has_been_logged = True
    return response


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        # without the full text, which may contain hosts and accounts
        return f"not reached ({type(error).__name__})"
    return "ok"


def _broker() -> tuple[str, dict[str, int]]:
    try:
        with heartbeat.broker() as client:
            return "ok", heartbeat.alive(client)
    except redis.RedisError as error:
        return f"not reached ({type(error).__name__})", dict.fromkeys(QUEUES, 0)
