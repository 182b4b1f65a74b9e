"""Run a command and prefix each line of its output with a name: `prefix.py NAME COMMAND ARGUMENT…`.

The command replaces this process (exec), so the supervisor watches the command's own pid. A
grandchild process reads its output through a pipe and ends when the pipe closes. It has its own
session, so signals to the command don't stop it and no last line is lost. This module uses the
standard library only, and imports nothing of the project, so it starts in a few milliseconds.
"""

import os
import sys

OUTPUT = 100  # descriptor of the standard output of config/run/supervise.py
LOCK = 101  # descriptor of the lock on the data folder
WIDTH = 16  # of the name, in characters


def main(name: str, command: list[str]) -> None:
    """Replace this process by the command. An empty name adds no prefix."""
    if name:
        _print_through(name)
    elif _is_open(OUTPUT):
        for descriptor in (1, 2):
            os.dup2(OUTPUT, descriptor)
    _close(OUTPUT)
    os.execvp(command[0], command)


def _print_through(name: str) -> None:
    """Redirect this process's output into a pipe that `relay` reads."""
    source, sink = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            os.close(sink)
            relay(name, source)
        os._exit(0)
    os.wait()
    os.close(source)
    for descriptor in (1, 2):
        os.dup2(sink, descriptor)
    os.close(sink)


def relay(name: str, source: int) -> None:
    """Copy lines from `source` until all writers have closed it, even if our own output fails."""
    os.setsid()
    output = OUTPUT if _is_open(OUTPUT) else os.dup(1)
    for descriptor in (0, 1, 2, LOCK):
        _close(descriptor)
    start = f"{name:<{WIDTH}}| ".encode()
    with open(source, "rb") as lines:
        for line in lines:
            if line.strip():
                try:
                    os.write(output, start + line.rstrip(b"\r\n") + b"\n")
                except OSError:
                    pass


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        pass


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
