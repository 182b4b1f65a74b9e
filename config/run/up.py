"""`make up`: prepare the data folder, then keep the broker, the web server and the workers running
until Ctrl-C.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from config.run import broker, checks
from config.run.checks import CannotStart
from workers import machine_lock

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
HEAD_SECONDS = 30  # for the head of a request to arrive
DEFAULT_MODEL = "smollm2-135m-instruct"


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

    print("Starting the web server and the workers ...", flush=True)
    supervise.run(file, lock)
    shutil.rmtree(broker.short_folder(settings.VAR), ignore_errors=True)
    print("Podium has ended.", flush=True)


def prepare(settings) -> int:
    """Everything that comes before the first process; the descriptor that holds the data folder."""
    checks.make_folders(settings.VAR)
    lock = checks.lock(settings.VAR)
    checks.close_to_others(settings.VAR)
    checks.port_is_free(settings.HOST, settings.PORT)
    checks.disk_has_room(settings.VAR)
    checks.secret(settings.VAR)
    get_model(settings)
    step(
        "config.run.prepare",
        failed="The database or the first run could not be prepared: see above.",
    )
    return lock


def get_model(settings) -> None:
    """The default model, fetched and converted once; or the local folder that PODIUM_MODEL names."""
    if settings.MODEL == "smollm2":
        target = settings.VAR / "models" / DEFAULT_MODEL
        step(
            "workers.download_model",
            str(target),
            failed="The default model could not be had: see above.",
        )
        return
    folder = Path(settings.MODEL).resolve()
    if not any(folder.glob("*.safetensors")):
        raise CannotStart(
            f"PODIUM_MODEL: {folder} is neither `smollm2` nor a folder with .safetensors files."
        )
    if not any(folder.is_relative_to(root) for root in settings.MODEL_ROOTS):
        roots = ", ".join(str(root) for root in settings.MODEL_ROOTS)
        raise CannotStart(
            f"PODIUM_MODEL: {folder} does not lie below {roots} (PODIUM_MODEL_ROOTS)."
        )


def step(module: str, *arguments: str, failed: str) -> None:
    if subprocess.run([sys.executable, "-m", module, *arguments]).returncode:
        raise CannotStart(failed)


def configure(settings) -> Path:
    """Write what supervisor is to run; the programs find the broker in their environment."""
    from config.run.supervise import Program, write_configuration

    folder = broker.short_folder(settings.VAR)
    (folder / "supervisor.sock").unlink(
        missing_ok=True
    )  # of a start that was killed; the lock says that it is gone
    programs = [
        Program("web", web(settings), 10),
        Program(
            "worker-default",
            worker(
                "default",
                "--pool",
                "threads",
                "-c",
                "2",
                "--beat",
                "--scheduler",
                "celery.beat:Scheduler",
            ),
            20,
            15,
        ),
        *(
            Program(f"worker-{name}", worker(name, "--pool", "solo"), 20, 15)
            for name in computing(settings)
        ),
        Program("announce", [sys.executable, "-m", "config.run.announce"], 30, once=True),
    ]
    if not settings.REDIS_URL:
        programs.append(Program("broker", broker.command(folder, settings.VAR), 1))
        os.environ["REDIS_URL"] = broker.url(folder)
        (settings.VAR / "run" / "broker.url").write_text(
            broker.url(folder)
        )  # for commands beside it
    os.environ.setdefault("TQDM_DISABLE", "1")  # progress bars make no lines
    file = settings.VAR / "run" / "supervisord.conf"
    write_configuration(file, folder, programs)
    return file


def computing(settings) -> list[str]:
    """The names of the workers that compute: as many for each queue as there are devices, or as the
    setting says.
    """
    if settings.WORKERS != "auto" and not (settings.WORKERS.isdecimal() and int(settings.WORKERS)):
        raise CannotStart(
            f"PODIUM_WORKERS: {settings.WORKERS} is neither `auto` nor a number from 1."
        )
    count = len(machine_lock.devices()) if settings.WORKERS == "auto" else int(settings.WORKERS)
    numbers = ["", *(f"-{number}" for number in range(2, count + 1))]
    return [queue + number for queue in ("sampling", "training") for number in numbers]


def web(settings) -> list[str]:
    """Two processes: pages take longer to make than writers of SQLite wait for each other.

    HTTP/1 alone: its head has a longest time. A connection that could turn out to be HTTP/2 waits
    without end.
    """
    return [
        sys.executable,
        "-m",
        "granian",
        "--interface",
        "asginl",
        "--http",
        "1",
        "--no-ws",
        "--log-level",
        "error",
        "--host",
        settings.HOST,
        "--port",
        str(settings.PORT),
        "--workers",
        "2",
        "--respawn-failed-workers",
        "--http1-header-read-timeout",
        str(HEAD_SECONDS * 1000),
        "config.asgi:application",
    ]


def worker(name: str, *options: str) -> list[str]:
    """A Celery worker of the queue that its name begins with: training, training-2."""
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
