"""Work on batches ahead, in other processes: while one batch is written, the next are cleaned."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Batch = TypeVar("Batch")
Result = TypeVar("Result")

MOST = 4  # processes: writing keeps up with no more
AHEAD = 3  # batches that wait for each of them
log = logging.getLogger(__name__)


def mapped(
    function: Callable[[Batch], Result], batches: Iterable[Batch], processes: int
) -> Iterator[Result]:
    """Yield the function's result of each batch, in their order. With no other processes, it is
    called here.

    A process that is killed costs time, and no batch. Each process loads the script that this one
    was started with: one that works on import needs `if __name__ == "__main__":`.
    """
    if not processes:
        yield from map(function, batches)
        return
    # spawn: a fork of this process would share its connections to databases
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, end_with_parent)
    waiting: deque[tuple[Batch, Future[Result] | None]] = deque()
    try:
        for batch in batches:
            waiting.append((batch, _submitted(pool, function, batch)))
            if len(waiting) > AHEAD * processes:
                yield _result(function, *waiting.popleft())
        while waiting:
            yield _result(function, *waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def spare() -> int:
    """How many processes may work beside this one."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no such call
        cores = os.cpu_count() or 1
    return min(MOST, cores - 1)


def _submitted(
    pool: ProcessPoolExecutor, function: Callable[[Batch], Result], batch: Batch
) -> Future[Result] | None:
    try:
        return pool.submit(function, batch)
    except BrokenProcessPool:
        return None


def _result(
    function: Callable[[Batch], Result], batch: Batch, future: Future[Result] | None
) -> Result:
    try:
        if future is not None:
            return future.result()
    except BrokenProcessPool:
        log.warning("a process that cleans texts has ended: this one goes on alone")
    return function(batch)


def end_with_parent() -> None:
    """End this process when the one that started it does, even by a kill."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait_for_end, args=[parent], daemon=True).start()


def _wait_for_end(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
