"""A Python module as a process of its own, forked from one that has imported torch, transformers
and TRL already.

Those imports take every new interpreter five seconds and more. All else is as if it had been
started by its command: a pid, an environment, a standard input and output, an exit code, and a
death by any signal.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from unittest import mock

from workers.trainers.run.runs import ENVIRONMENT

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "torch",
        "transformers.trainer",
        "transformers.models.auto.modeling_auto",
        "transformers.models.llama.modeling_llama",
        "peft",
        "trl.trainer.sft_trainer",
        "trl.trainer.dpo_trainer",
        "trl.trainer.kto_trainer",
    ]
)


class Forked:
    """What subprocess.Popen would be for `python -m MODULE ARGUMENTS`, with pipes for stdin and
    stdout.

    `stderr` is the path of a file to append to; `before` is code that runs ahead of the module.
    """

    def __init__(
        self, module: str, *arguments: str, stderr: Path, env: dict[str, str], before: str = ""
    ):
        # what libraries read while they are imported, and one thread: see Child
        with mock.patch.dict(os.environ, {**ENVIRONMENT, "OMP_NUM_THREADS": "1"}):
            forkserver.ensure_running()
        stdin, write = os.pipe()
        read, stdout = os.pipe()
        # connections, since those alone travel to another process with their descriptors
        ends = Connection(stdin, writable=False), Connection(stdout, readable=False)
        asked = (module, arguments, *ends, str(stderr), env, before)
        self._process = CONTEXT.Process(target=_run, args=asked, daemon=True)
        self._process.start()
        for end in ends:
            end.close()
        self.stdin = os.fdopen(write, "wb", buffering=0)
        self.stdout = io.TextIOWrapper(os.fdopen(read, "rb"), encoding="utf-8")

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code (of a death by signal N: −N), or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return self.poll()

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _run(module, arguments, stdin, stdout, stderr, env, before) -> None:
    """What the new process does: become the one that was asked for."""
    with open(stderr, "ab", buffering=0) as log:
        for number, file in enumerate((stdin, stdout, log)):
            os.dup2(file.fileno(), number)
    stdin.close()
    stdout.close()
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [module, *arguments]
    try:
        exec(before, {"__name__": "before"})
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except Exception:
        sys.excepthook(*sys.exc_info())  # multiprocessing would print the error by itself
        sys.exit(1)
