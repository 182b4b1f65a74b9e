"""Do work in a process of its own, with limits of memory and of processor time.

For what strangers send: a file of a few bytes may take gigabytes or hours to read. A process that
reaches its limit ends, and this one goes on.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from people import processes

TOGETHER = 2**20  # bytes of items that are sent together, about
MOST_TOGETHER = 500  # items
# What the server of new processes loads before it forks the first one: so each begins at once.
LOADED = ["people.limited_start"]
log = logging.getLogger(__name__)


class LimitReached(Exception):
    """The work was ended; the message says by which limit."""


class TooMuchSent(LimitReached):
    """There are further items than it may send."""


@dataclass(frozen=True)
class Limits:
    """Of one process: bytes of memory that it may take, seconds of a processor, and bytes of items
    that it may send (None: any number), though one item in any case.
    """

    memory: int
    seconds: int
    sent: int | None = None


def items(limits: Limits, function: Callable[..., Iterator[Any]], *args: Any) -> Iterator[Any]:
    """Yield what the generator `function` yields in a process of its own.

    Raises LimitReached, and what the function raises. The function is of a module, and its items
    can be pickled.
    """
    # A fork of this process would share its connections and its threads' locks; a new process for
    # each file would take a second to start.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*LOADED, function.__module__])
    receiver, sender = context.Pipe(duplex=False)
    work = pickle.dumps((function, args))
    process = context.Process(target=_work, args=(sender, limits, work), daemon=True)
    process.start()
    sender.close()
    try:
        while batch := _received(receiver, process, limits):
            for item in batch:
                yield pickle.loads(item)
    finally:
        process.kill()
        process.join()
        receiver.close()


def _received(receiver: Connection, process: Any, limits: Limits) -> list[bytes]:
    """The next items; none at the end."""
    try:
        batch, error = pickle.loads(receiver.recv_bytes())
    except EOFError:
        process.join()
        raise LimitReached(_why_ended(process.exitcode, limits)) from None
    if error is not None:
        raise error
    return batch


def _why_ended(exitcode: int, limits: Limits) -> str:
    if exitcode == -signal.SIGXCPU:
        return f"it takes more than {limits.seconds:,} seconds of a processor"
    how = signal.Signals(-exitcode).name if exitcode < 0 else f"exit code {exitcode}"
    memory = f"{limits.memory // 2**20:,} MB"
    return f"its process ended ({how}), probably for want of memory beyond {memory}"


# In the other process


def _work(sender: Connection, limits: Limits, work: bytes) -> None:
    processes.end_with_parent()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of numpy: each thread takes memory ahead
    # a pool that reserves memory ahead would reach the limit by that alone
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    import django

    django.setup()  # done already, unless the server could not load it
    function, args = pickle.loads(work)
    _limit(limits)
    try:
        _send_all(sender, limits, function(*args))
        message: tuple[list[bytes], BaseException | None] = ([], None)
    except BrokenPipeError:  # nobody wants further items
        return
    except MemoryError:
        memory = f"{limits.memory // 2**20:,} MB"
        message = ([], LimitReached(f"it takes more than {memory} of memory"))
    except Exception as error:
        message = ([], error)
    sender.send_bytes(pickle.dumps(message))


def _send_all(sender: Connection, limits: Limits, made: Iterator[Any]) -> None:
    batch: list[bytes] = []
    size = sent = 0
    try:
        for item in made:
            packed = pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
            if limits.sent is not None and sent and sent + len(packed) > limits.sent:
                raise TooMuchSent(f"it holds more than {limits.sent // 2**20:,} MB")
            if batch and (size + len(packed) > TOGETHER or len(batch) == MOST_TOGETHER):
                sender.send_bytes(pickle.dumps((batch, None)))
                batch, size = [], 0
            batch.append(packed)
            size, sent = size + len(packed), sent + len(packed)
    finally:
        if batch:
            sender.send_bytes(pickle.dumps((batch, None)))


def _limit(limits: Limits) -> None:
    """Set the limits beyond what this process has taken to start."""
    if sys.platform != "linux":
        log.warning("This system has no limits of memory and time for the reading of a file.")
        return
    import resource

    memory = _data_size() + limits.memory
    seconds = int(time.process_time()) + 1 + limits.seconds
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))


def _data_size() -> int:
    """Bytes of private memory that this process may write: what RLIMIT_DATA counts."""
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmData:")]
    return int(line.split()[1]) * 1024
