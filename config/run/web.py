"""The web server, `web.py HOST PORT`: granian, on one socket that all its processes share.

granian gives each process a socket of its own; connections that wait there are reset when the
process is replaced. Ours is held by the parent, so that SIGHUP, which replaces one process after
the other, loses none. The parent imports nothing of the project, so its new processes load the
code that is there when they start (config/run/reload.py).
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from granian._granian import ListenerSpec
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import MPServer

HEAD_SECONDS = 30  # timeout for the headers of a request
# Two: rendering a page takes longer than SQLite's writers wait for each other.
PROCESSES = 2
# Seconds after which a replaced process ends: the one that replaces it has started, most likely; if
# not, connections wait.
OVERLAP_SECONDS = 5
# Seconds that a replaced process has for its last requests. A longer download is broken off, and
# can be continued (Range).
LAST_SECONDS = 120


class Server(MPServer):
    def _init_shared_socket(self) -> None:
        self._ssp = self._sso = None
        self._shd = ListenerSpec(self.bind_addr, self.bind_port, self.backlog).build()

    def _respawn_workers(self, workers: list[int], *arguments: Any, delay: float = 0) -> None:
        for index in workers:
            replaced = self.wrks[index]
            if delay and replaced.is_alive():
                os.kill(replaced.inner.pid, signal.SIGUSR1)  # config/asgi.py
            super()._respawn_workers([index], *arguments, delay=delay)


def main(host: str, port: str) -> None:
    # HTTP/1 only: it has a timeout for the headers. A connection that could become HTTP/2 has none.
    Server(
        "config.asgi:application",
        address=host,
        port=int(port),
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_SECONDS * 1000),
        websockets=False,
        workers=PROCESSES,
        respawn_failed_workers=True,
        respawn_interval=OVERLAP_SECONDS,
        workers_kill_timeout=LAST_SECONDS,
        log_level=LogLevels.error,
    ).serve()


if __name__ == "__main__":
    sys.path[0] = os.getcwd()
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # also of a process that has not loaded all yet
    main(*sys.argv[1:])
