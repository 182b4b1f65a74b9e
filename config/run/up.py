"""`make up`: prepare the data folder, then run the broker, the web server and the workers until
Ctrl-C.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured

from config.run import broker, checks
from config.run.checks import CannotStart
from workers import machine_lock

if TYPE_CHECKING:
    from config.run.supervise import Program

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
DEFAULT_MODEL = "smollm2-135m-instruct"
# Its jobs need no device, so two run at once; it also sweeps the table of jobs (--beat).
DEFAULT_WORKER = ["--pool", "threads", "-c", "2", "--beat", "--scheduler", "celery.beat:Scheduler"]


def main() -> None:
    try:
        from config import settings

        lock = prepare(settings)
        file = configure(settings)
    except (CannotStart, ImproperlyConfigured, ValueError) as error:
        sys.exit(f"Podium can't start. {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    from config.run import supervise

    print(f"Starting {', '.join(settings.ROLES)} ...", flush=True)
    supervise.run(file, lock)
    shutil.rmtree(broker.short_folder(settings.VAR), ignore_errors=True)
    print("Podium has stopped.", flush=True)


def prepare(settings: ModuleType) -> int:
    """All steps before the first process. Returns the descriptor of the data folder's lock."""
    checks.make_folders(settings.VAR)
    lock = checks.lock(settings.VAR)
    checks.close_to_others(settings.VAR)
    checks.shared(settings)
    if "web" in settings.ROLES:
        checks.port_is_free(settings.HOST, settings.PORT)
    checks.disk_has_room(settings.VAR)
    checks.secret(settings.VAR)
    if computing(settings):
        get_model(settings)
    step(
        "config.run.prepare",
        failed="Preparing the database or the first run failed. See the messages above.",
    )
    return lock


def get_model(settings: ModuleType) -> None:
    """Download and convert the default model once, or check the folder that PODIUM_MODEL names."""
    if settings.MODEL == "smollm2":
        target = settings.VAR / "models" / DEFAULT_MODEL
        step(
            "workers.download_model",
            str(target),
            failed="Downloading the default model failed. See the messages above.",
        )
        return
    folder = Path(settings.MODEL).resolve()
    if not any(folder.glob("*.safetensors")):
        raise CannotStart(
            f"PODIUM_MODEL: {folder} is neither `smollm2` nor a folder with .safetensors files."
        )
    if not any(folder.is_relative_to(root) for root in settings.MODEL_ROOTS):
        roots = ", ".join(str(root) for root in settings.MODEL_ROOTS)
        raise CannotStart(f"PODIUM_MODEL: {folder} is not inside {roots}. Set PODIUM_MODEL_ROOTS.")


def step(module: str, *arguments: str, failed: str) -> None:
    """Run a module in its own process. Raises CannotStart with `failed` where it fails."""
    if subprocess.run([sys.executable, "-m", module, *arguments]).returncode:
        raise CannotStart(failed)


def configure(settings: ModuleType) -> Path:
    """Write the configuration of supervisor. Programs get the broker's address in REDIS_URL."""
    from config.run.supervise import write_configuration

    folder = broker.short_folder(settings.VAR)
    # A killed start leaves its socket behind. We hold the lock, so that process has ended.
    (folder / "supervisor.sock").unlink(missing_ok=True)
    if not settings.REDIS_URL:
        os.environ["REDIS_URL"] = broker.url(folder)
        # for management commands that run at the same time
        (settings.VAR / "run" / "broker.url").write_text(broker.url(folder))
    if settings.METRICS_TOKEN:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(empty_counts(settings.VAR))
    os.environ.setdefault("TQDM_DISABLE", "1")  # progress bars would spoil the log
    file = configuration_file(settings)
    write_configuration(file, folder, programs(settings))
    return file


def configuration_file(settings: ModuleType) -> Path:
    return settings.VAR / "run" / "supervisord.conf"


def programs(settings: ModuleType) -> list[Program]:
    """What supervisor starts on this host."""
    from config.run.supervise import Program

    found = [
        Program(f"worker-{name}", worker(name, "--pool", "solo"), 20, 15)
        for name in computing(settings)
    ]
    if "default" in settings.ROLES:
        found.append(Program("worker-default", worker("default", *DEFAULT_WORKER), 20, 15))
    if "web" in settings.ROLES:
        announce = [sys.executable, "-m", "config.run.announce"]
        found.append(Program("web", web(settings), 10))
        found.append(Program("announce", announce, 30, once=True))
    if not settings.REDIS_URL:
        folder = broker.short_folder(settings.VAR)
        found.append(Program("broker", broker.command(folder, settings.VAR), 1))
    if settings.LOGS == "json":
        found = [replace(program, plain=True) for program in found]
    return found


def empty_counts(var: Path) -> Path:
    """The folder in which each process keeps its counts for /metrics, without those of an earlier
    start.
    """
    folder = var / "run" / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def computing(settings: ModuleType) -> list[str]:
    """The names of this host's sampling and training workers.

    PODIUM_WORKERS sets their number for each queue; `auto` is one per device.
    """
    queues = [queue for queue in ("sampling", "training") if queue in settings.ROLES]
    if not queues:
        return []
    count = len(machine_lock.devices()) if settings.WORKERS == "auto" else int(settings.WORKERS)
    numbers = ["", *(f"-{number}" for number in range(2, count + 1))]
    return [queue + number for queue in queues for number in numbers]


def web(settings: ModuleType) -> list[str]:
    """The command line of the web server."""
    file = Path(__file__).with_name("web.py")
    return [sys.executable, str(file), settings.HOST, str(settings.PORT)]


def worker(name: str, *options: str) -> list[str]:
    """The command line of a Celery worker. Its name starts with its queue: training, training-2."""
    queue = name.split("-")[0]
    return [
        sys.executable,
        "-m",
        "celery",
        "--quiet",
        "-A",
        "config",
        "worker",
        "-Q",
        queue,
        "-n",
        f"{name}@%h",
        *options,
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        "--loglevel",
        "INFO",
    ]


if __name__ == "__main__":
    main()
