"""One torch process a host: two at once fight over the cores, and both crawl."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings


@contextmanager
def held() -> Iterator[int | None]:
    """The descriptor of the machine's lock, or None when another process has it.

    A child that inherits the descriptor keeps the lock when this process is killed, until it has ended too.
    """
    settings.MACHINE_LOCK.parent.mkdir(parents=True, exist_ok=True)
    with open(settings.MACHINE_LOCK, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file.fileno()
