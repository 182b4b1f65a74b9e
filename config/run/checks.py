"""What must hold before Podium starts. Each check that fails raises CannotStart with one clear
line.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import socket
import tempfile
from pathlib import Path

from people.file_permissions import make_private

DISK_NEEDED = 2 * 2**30


class CannotStart(Exception):
    """Podium can't start; the text says why and what to do."""


def make_folders(var: Path) -> None:
    try:
        for name in ("models", "datasets", "uploads", "backups", "run", "cache"):
            (var / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(
            f"The data folder {var} can't be made: {error.strerror} (PODIUM_VAR names another)."
        ) from None
    try:
        tempfile.TemporaryFile(dir=var).close()
    except OSError as error:
        raise CannotStart(
            f"The data folder {var} can't be written to: {error.strerror} (PODIUM_VAR names "
            "another)."
        ) from None


def close_to_others(var: Path) -> None:
    """What an earlier version wrote may be readable by every account."""
    try:
        opened = make_private(var)
    except OSError as error:
        raise CannotStart(
            f"{error.filename} can't be closed to other accounts: {error.strerror}. Give it to "
            "this account (chown)."
        ) from None
    if opened:
        print(
            f"Other accounts could read {opened} files and folders of {var}: now they can't.",
            flush=True,
        )


def lock(var: Path) -> int:
    """Hold the data folder; the descriptor that holds it. The processes that are started hold it
    too.
    """
    descriptor = os.open(var / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(descriptor, 20).decode().strip()
        os.close(descriptor)
        raise CannotStart(_who_holds(var, pid)) from None
    os.truncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def _who_holds(var: Path, pid: str) -> str:
    if pid and Path(f"/proc/{pid}").exists():
        return (
            f"Podium is running on {var} already (process {pid}): stop it first, or choose another "
            "PODIUM_VAR."
        )
    return (
        f"A process of an earlier start still uses {var} (process {pid} started it and is gone): "
        "wait, or end it."
    )


def port_is_free(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = (
            "is in use" if error.errno == errno.EADDRINUSE else f"can't be used: {error.strerror}"
        )
        raise CannotStart(
            f"Port {port} of {host} {reason}. Choose another: PODIUM_PORT={port + 1} make up"
        ) from None


def disk_has_room(folder: Path, needed: int = DISK_NEEDED) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CannotStart(
            f"Only {free / 2**30:.1f} GB are free in {folder}; Podium needs {needed / 2**30:.0f} "
            "GB."
        )


def secret(var: Path) -> None:
    """A random key that signs sessions, made once per data folder."""
    file = var / "secret"
    if not file.exists():
        scratch = var / "secret.new"
        scratch.unlink(missing_ok=True)
        scratch.touch(mode=0o600)
        scratch.write_text(secrets.token_urlsafe(60) + "\n")
        os.replace(scratch, file)
