"""config/run/prefix.py: every line of a command begins with its name."""

import subprocess
import sys

import pytest

from config.run import prefix

PRINT_PID = "import os, sys; print(os.getpid(), flush=True); print('worse', file=sys.stderr)"


def run(*command, name="web"):
    process = subprocess.Popen(
        [sys.executable, "-I", prefix.__file__, name, *command], stdout=subprocess.PIPE, text=True
    )
    lines = process.stdout.read().splitlines()
    return process.pid, process.wait(10), lines


def test_the_command_has_the_pid_that_was_started():
    pid, _code, lines = run(sys.executable, "-c", PRINT_PID)

    assert lines == [f"web             | {pid}", "web             | worse"]


@pytest.mark.parametrize("text", ["no end of line", "two\nlines\n", "\n\nblank lines go\n\n"])
def test_all_that_was_printed_arrives(text):
    _pid, _code, lines = run("printf", "%s", text)

    assert [line.removeprefix("web             | ") for line in lines] == [
        line for line in text.splitlines() if line
    ]


def test_the_exit_code_is_the_command_s():
    assert run("sh", "-c", "exit 7")[1] == 7


def test_without_a_name_lines_stay_as_they_are():
    assert run("echo", "ready", name="")[2] == ["ready"]
