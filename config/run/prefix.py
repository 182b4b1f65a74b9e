"""Run a command with its name before every line that it prints: `prefix.py NAME COMMAND ARGUMENT…`.

The command takes the place of this process, so that its pid is the one that is supervised. A
grandchild stands at the other end of its output and ends with it; it ignores the signals that end
the command, so no last line is lost. Standard library only, and no import of the project: it starts
in a few milliseconds.
"""

import os
import sys

OUTPUT = 100  # where config/run/supervise.py keeps its own standard output for the programs
LOCK = 101  # and the lock on the data folder
WIDTH = 16


def main(name: str, command: list[str]) -> None:
    if name:
        _print_through(name)
    elif _is_open(OUTPUT):
        for descriptor in (1, 2):
            os.dup2(OUTPUT, descriptor)
    _close(OUTPUT)
    os.execvp(command[0], command)


def _print_through(name: str) -> None:
    """Turn this process's output into a pipe that `relay` reads."""
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
    """Copy lines from `source` until every writer is gone; go on reading even when nobody reads us."""
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
