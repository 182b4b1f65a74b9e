"""A real Podium for tests and benchmarks: `python -m config.run.up` in a data folder of its own,
watched line by line.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

from supervisor.xmlrpc import SupervisorTransport

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_MODEL = "smollm2"
OURS = ("PODIUM_", "DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds: float = 60, what: str = ""):
    """What `condition()` gives, as soon as that is true. Raises AssertionError when it never is."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what or condition}")


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and of all its descendants that live."""
    user, system = map(int, _stat(pid)[11:13])
    return (user + system) / os.sysconf("SC_CLK_TCK") + sum(map(cpu_seconds, children(pid)))


def parent(pid: int) -> int:
    return int(_stat(pid)[1])


def _stat(pid: int) -> list[str]:
    """What /proc says of a process, from its state on (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def children(pid: int) -> list[int]:
    try:
        tasks = [task.read_text().split() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # a thread has ended meanwhile
        return []
    return [int(child) for listed in tasks for child in listed]


class Podium:
    """`start()` it, use it, `stop()` it. The environment reaches every process; `model` is a
    folder, or "smollm2".
    """

    address = "127.0.0.1"
    root = ROOT  # of the code that it runs
    prefix: tuple[str, ...] = ()  # of its command: what moves it to a host of its own

    def __init__(self, var: Path, model: Path | str, **environment: str):
        self.var, self.port = var, free_port()
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(OURS)
        }
        self.environment |= {
            "PODIUM_VAR": str(var),
            "PODIUM_PORT": str(self.port),
            "PODIUM_MODEL": str(model),
        }
        if model != DEFAULT_MODEL:
            self.environment["PODIUM_MODEL_ROOTS"] = str(Path(model).parent)
        self.environment |= environment
        self.lines: list[str] = []
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    @property
    def ready_line(self) -> str:
        return f"Podium is ready at {self.url}{self.environment.get('PODIUM_PATH', '')}"

    # Start and end

    def launch(self) -> None:
        """Start it, and do not wait for it."""
        self.lines = []
        command = [*self.prefix, sys.executable, "-m", "config.run.up"]
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.process = subprocess.Popen(
            command, cwd=self.root, env=self.environment, start_new_session=True, **pipe
        )
        threading.Thread(target=self._listen, args=(self.process.stdout,), daemon=True).start()

    def start(self, seconds: float = 180) -> Podium:
        self.launch()
        try:
            wait_for(
                lambda: self.ready_line in self.lines or self._ended(), seconds, "the ready line"
            )
        except AssertionError:
            self.kill()
            raise AssertionError("not ready in time:\n" + self.output) from None
        assert self.process.poll() is None, "it ended:\n" + self.output
        return self

    def _listen(self, stream) -> None:
        for line in stream:
            self.lines.append(line.rstrip("\n"))

    def _ended(self) -> bool:
        return self.process.poll() is not None

    def interrupt(self, seconds: float = 60) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(seconds)

    def stop(self) -> None:
        """Ctrl-C, and nothing is left."""
        if self.process.poll() is None:
            assert self.interrupt() == 0, self.output
        assert self.left_over() == [], self.output

    def kill(self) -> None:
        """End everything that still runs, without asking."""
        self.clear()
        self.process.wait(10)

    def clear(self) -> None:
        """End every process that was started for this data folder, by this object or an earlier
        one.
        """
        for pid, _command in self.processes():
            _kill(pid)

    def left_over(self, seconds: float = 15) -> list[tuple[int, str]]:
        """The processes that are still there after some seconds; each inherited our data folder's
        name.
        """
        try:
            wait_for(lambda: not self.processes(), seconds)
        except AssertionError:
            pass
        return self.processes()

    # Look inside

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def processes(self) -> list[tuple[int, str]]:
        """(pid, command line) of every process that was started for this data folder."""
        mark, found = f"PODIUM_VAR={self.var}".encode(), []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    command = (
                        (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                    )
                    found.append((int(folder.name), command))
            except OSError:
                continue  # it ended meanwhile, or is another account's
        return found

    def pid(self, program: str) -> int:
        """The pid of broker, web, worker-default, worker-sampling or worker-training; 0 while it is
        down.
        """
        for info in self.supervisor().getAllProcessInfo():
            if info["name"] == program:
                return info["pid"]
        raise LookupError(program)

    def kill_9(self, program: str) -> int:
        """Kill a program; returns the pid that took its place."""
        before = self.pid(program)
        _kill(before)
        return wait_for(
            lambda: (pid := self.pid(program)) != before and pid, 30, f"{program} is restarted"
        )

    def supervisor(self):
        from xmlrpc.client import ServerProxy

        configuration = (self.var / "run" / "supervisord.conf").read_text()
        entries = dict(line.split("=", 1) for line in configuration.splitlines() if "=" in line)
        transport = SupervisorTransport(
            entries["username"], entries["password"], entries["serverurl"]
        )
        return ServerProxy("http://127.0.0.1", transport).supervisor

    def health(self) -> tuple[int, dict]:
        """Status and body of /healthz; (0, {}) while the web server is away."""
        connection = http.client.HTTPConnection(self.address, self.port, timeout=10)
        try:
            connection.request("GET", "/healthz")
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except OSError:
            return 0, {}
        finally:
            connection.close()

    def is_well(self) -> bool:
        return self.health()[0] == 200

    def accounts(self) -> dict[str, str]:
        """Password by e-mail of the demo accounts."""
        lines = (self.var / "demo-accounts.txt").read_text().splitlines()
        return dict(line.split() for line in lines)

    def sql(self, query: str, *values) -> list[tuple]:
        """Rows of a query on the database, past the application."""
        connection = sqlite3.connect(self.var / "podium.sqlite3", timeout=20)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def manage(self, *arguments: str) -> str:
        """Run a management command beside it; its output."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=self.root, env=self.environment, check=True, capture_output=True, text=True
        ).stdout


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
