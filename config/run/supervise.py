"""Supervision: write the configuration of supervisor, and run it until Ctrl-C.

supervisor runs inside this process, with two changes: a closed terminal (SIGHUP) stops Podium
instead of restarting it, and child processes end with it even when it is killed.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import sys
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xmlrpc.client import ServerProxy

from supervisor.medusa import asyncore_25 as asyncore
from supervisor.options import ServerOptions
from supervisor.supervisord import Supervisor
from supervisor.xmlrpc import SupervisorTransport

from config.run import prefix
from workers.parent_death import end_with_parent

# Programs inherit descriptors from this number on; supervisor closes those below.
KEPT_FROM = 64


@dataclass(frozen=True)
class Program:
    """A supervised program. A lower `priority` starts earlier and stops later.

    `once`: it runs to its end and is not restarted. `plain`: no name before its lines.
    """

    name: str
    command: list[str]
    priority: int
    stop_seconds: int = 10
    once: bool = False
    plain: bool = False

    def section(self) -> str:
        """The program's section of supervisord.conf."""
        # a program that runs once prints messages of Podium itself, so without a prefix
        name = "" if self.once or self.plain else self.name
        wrapper = [sys.executable, "-I", "-S", prefix.__file__, name]
        command = shlex.join([*wrapper, *self.command]).replace("%", "%%")
        restart = "autorestart=false\nstartsecs=0" if self.once else "autorestart=true\nstartsecs=2"
        return f"""
[program:{self.name}]
command={command}
priority={self.priority}
{restart}
startretries=1000
stopwaitsecs={self.stop_seconds}
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile=NONE
"""


def write_configuration(file: Path, folder: Path, programs: list[Program]) -> None:
    """Write supervisord.conf. It also serves `supervisorctl -c FILE status|restart NAME`."""
    # supervisor warns about a socket without a password, and about root without `user`
    password, user = secrets.token_urlsafe(24), "user=root" if os.geteuid() == 0 else ""
    workers = [program.name for program in programs if program.name.startswith("worker-")]
    text = f"""\
[supervisord]
nodaemon=true
{user}
logfile=/dev/null
logfile_maxbytes=0
loglevel=warn
pidfile={folder}/supervisord.pid
minfds={KEPT_FROM}
[unix_http_server]
file={folder}/supervisor.sock
username=podium
password={password}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/supervisor.sock
username=podium
password={password}
[group:workers]
programs={",".join(workers)}
priority=20
""" + sections(programs)
    file.touch(mode=0o600)
    file.write_text(text)


def sections(programs: list[Program]) -> str:
    return "".join(program.section() for program in programs)


def connect(file: Path) -> Any:
    """What the supervisor with this configuration does when it is asked: its XML-RPC interface."""
    configuration = ConfigParser(interpolation=None)
    configuration.read(file)
    ours = configuration["supervisorctl"]
    transport = SupervisorTransport(ours["username"], ours["password"], ours["serverurl"])
    return ServerProxy("http://127.0.0.1", transport).supervisor


class Options(ServerOptions):
    def get_signal(self) -> int | None:
        received = super().get_signal()
        return signal.SIGTERM if received == signal.SIGHUP else received

    def setpgrp(self) -> None:  # called in the child process, before exec
        super().setpgrp()
        end_with_parent(self.supervisor_pid)


def run(configuration: Path, lock: int) -> None:
    """Run all programs. Returns once supervisor was stopped and all programs have ended."""
    os.dup2(1, prefix.OUTPUT, inheritable=True)
    os.dup2(lock, prefix.LOCK, inheritable=True)
    options = Options()
    options.supervisor_pid = os.getpid()
    options.realize(["-c", str(configuration), "--nodaemon"], doc=__doc__)
    options.first, options.test = True, False
    try:
        Supervisor(options).main()
    except asyncore.ExitNow:
        pass  # all programs have ended
