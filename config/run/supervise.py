"""Supervision: what runs, and supervisor itself, told to keep it running until Ctrl-C.

supervisor runs inside this process. It is changed in two places: a closed terminal (SIGHUP) ends
Podium in place of restarting it, and what it starts dies with it even when it is killed.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from supervisor.medusa import asyncore_25 as asyncore
from supervisor.options import ServerOptions
from supervisor.supervisord import Supervisor

from config.run import prefix
from workers.parent_death import end_with_parent

# Descriptors from here on survive into the programs: supervisor closes those below.
KEPT_FROM = 64


@dataclass(frozen=True)
class Program:
    """Something that is kept running. The smaller `priority` starts earlier and stops later."""

    name: str
    command: list[str]
    priority: int
    stop_seconds: int = 10
    once: bool = False

    def section(self) -> str:
        # what runs once speaks for Podium as a whole, without a name before its lines
        wrapper = [sys.executable, "-I", "-S", prefix.__file__, "" if self.once else self.name]
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
    """supervisord.conf; also `supervisorctl -c FILE status|restart NAME` reads it."""
    # supervisor warns of a socket without a password, and of root without a named user
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
""" + "".join(program.section() for program in programs)
    file.touch(mode=0o600)
    file.write_text(text)


class Options(ServerOptions):
    def get_signal(self):
        received = super().get_signal()
        return signal.SIGTERM if received == signal.SIGHUP else received

    def setpgrp(self):  # runs in the new process, before its program
        super().setpgrp()
        end_with_parent(self.supervisor_pid)


def run(configuration: Path, lock: int) -> None:
    """Keep everything running; returns when told to end and all of it has ended."""
    os.dup2(1, prefix.OUTPUT, inheritable=True)
    os.dup2(lock, prefix.LOCK, inheritable=True)
    options = Options()
    options.supervisor_pid = os.getpid()
    options.realize(["-c", str(configuration), "--nodaemon"], doc=__doc__)
    options.first, options.test = True, False
    try:
        Supervisor(options).main()
    except asyncore.ExitNow:
        pass  # everything has ended
