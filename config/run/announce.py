"""Print that Podium is ready, once /healthz answers 200: of a host with some roles, /readyz."""

from __future__ import annotations

import http.client
import json
import math
import os
import sys
import time

from django.conf import settings

REMIND_SECONDS = 30


def ask(host: str, port: int, name: str) -> tuple[bool, str]:
    """Whether Podium is ready and, if not, what is missing. `name`: an allowed host name. A host
    with some roles does not wait for workers of others.
    """
    path = "/healthz" if runs_all() else "/readyz"
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": name})
        response = connection.getresponse()
        body = response.read()
        if response.status == 503:
            return False, ", ".join(missing(json.loads(body)))
        return response.status == 200, ""
    except (OSError, ValueError, http.client.HTTPException):
        return False, "web"
    finally:
        connection.close()


def runs_all() -> bool:
    return set(settings.ROLES) == set(settings.EVERY_ROLE)


def missing(state: dict) -> list[str]:
    """What /healthz reports as missing."""
    services = [name for name in ("database", "broker", "store", "disk") if state.get(name) != "ok"]
    workers = state.get("workers", {})
    return services + [f"worker {queue}" for queue, count in workers.items() if not count]


def accounts() -> str:
    """The demo accounts with their passwords, where there are any."""
    file = settings.VAR / "demo-accounts.txt"
    return "\nDemo accounts:\n" + file.read_text() if settings.DEMO and file.exists() else ""


def wait_until_ready(seconds: float = math.inf) -> str:
    """What is still missing after so long; nothing once Podium is ready."""
    begun = reminded = time.monotonic()
    while True:
        ready, lacks = here()
        if ready:
            return ""
        if time.monotonic() - begun > seconds:
            return lacks or "web"
        if time.monotonic() - reminded > REMIND_SECONDS:
            reminded = time.monotonic()
            print(f"Still waiting for: {lacks or 'web'}", flush=True)
        time.sleep(0.25)


def here() -> tuple[bool, str]:
    """Whether the Podium of this host is ready and, if not, what is missing."""
    name = settings.ALLOWED_HOSTS[0].lstrip(".") if settings.ALLOWED_HOSTS else host()
    return ask(host(), settings.PORT, name)


def host() -> str:
    """The address at which this machine asks."""
    return "127.0.0.1" if settings.HOST in ("0.0.0.0", "::", "127.0.0.1") else settings.HOST


def check_once() -> None:
    """For the health check of a container."""
    ready, lacks = here()
    sys.exit(0 if ready else f"Not ready: {lacks or 'web'}")


def main() -> None:
    wait_until_ready()
    address = f"http://{host()}:{settings.PORT}{settings.PATH}"
    print(f"Podium is ready at {address}{accounts()}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    check_once() if sys.argv[1:] == ["--once"] else main()
