"""`make reload`: a running Podium goes on with the code that is there now, and no request fails.

Workers first, one after the other: each hands its job back, and new ones understand what old web
processes ask for. Then the web processes, of which one always takes requests (config/run/web.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from config.run.checks import CannotStart

HERE = Path(__file__).resolve().parents[2]
SECONDS = 600  # until the last old web process has ended


def main() -> None:
    try:
        pid = running(Path(os.environ.get("PODIUM_VAR", HERE / "var")).resolve())
        take_environment(pid)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        from config import settings

        check(settings)
        prepare()
        renew(settings)
    except (CannotStart, ImproperlyConfigured, ValueError) as error:
        sys.exit(f"Not reloaded. {error}")
    print("Podium runs the new code.", flush=True)


def running(var: Path) -> int:
    """The process that runs Podium on this data folder, from here. Raises CannotStart."""
    try:
        pid = int((var / "up.lock").read_text().strip())
        folder = Path(os.readlink(f"/proc/{pid}/cwd"))
    except (OSError, ValueError):
        raise CannotStart(f"Podium does not run on {var}: start it with make up.") from None
    if folder != HERE:
        raise CannotStart(f"Podium was started in {folder}: reload it there.")
    return pid


def take_environment(pid: int) -> None:
    """Go on with the environment that Podium was started with: its processes keep it, too."""
    pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    os.environb.clear()
    os.environb.update(dict(pair.split(b"=", 1) for pair in pairs if b"=" in pair))


def check(settings: ModuleType) -> None:
    """Raises CannotStart where the new code has to be started anew, or does not start at all."""
    from config.run import supervise, up

    started = up.configuration_file(settings).read_text()
    if not started.endswith(supervise.sections(up.programs(settings))):
        raise CannotStart("This version starts other processes: stop Podium, then make up.")
    step("-c", "import config.asgi, workers.queues", failed="The new code does not load.")

    import django

    django.setup()
    from config.run import compatible
    from config.run.prepare import refuse_newer_database

    refuse_newer_database()
    if reasons := compatible.pending():
        raise CannotStart(
            f"The code that runs would not survive a migration: {'; '.join(reasons)}. Stop Podium, "
            "then make up."
        )


def prepare() -> None:
    """Back up and migrate the database, and add the new static files to the old ones."""
    step("-m", "config.run.prepare", failed="Preparing the database failed.")


def step(*arguments: str, failed: str) -> None:
    if subprocess.run([sys.executable, *arguments]).returncode:
        raise CannotStart(f"{failed} See the messages above.")


def renew(settings: ModuleType) -> None:
    """Replace this host's processes, except the supervisor and the broker."""
    from config.run import announce, supervise, up

    supervisor = supervise.connect(up.configuration_file(settings))
    names = {program["name"]: program for program in supervisor.getAllProcessInfo()}
    for name, program in names.items():
        if name.startswith("worker-"):
            print(f"Renewing {name} ...", flush=True)
            supervisor.stopProcess(f"{program['group']}:{name}")
            supervisor.startProcess(f"{program['group']}:{name}")
    if "web" in names:
        print("Renewing the web processes ...", flush=True)
        renew_web(supervisor, names["web"]["pid"])
        print("Waiting until all of it answers ...", flush=True)
        if lacks := announce.wait_until_ready(SECONDS):
            raise CannotStart(f"The new code runs, and is not ready: {lacks}.")


def renew_web(supervisor: Any, parent: int) -> None:
    """Raises CannotStart where old processes are still there after a long time."""
    old = children(parent)
    supervisor.signalProcess("web", "HUP")
    until = time.monotonic() + SECONDS
    while children(parent) & old:
        if time.monotonic() > until or supervisor.getProcessInfo("web")["pid"] != parent:
            raise CannotStart("The web processes were not replaced. See Podium's messages.")
        time.sleep(0.2)


def children(pid: int) -> set[str]:
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


if __name__ == "__main__":
    main()
