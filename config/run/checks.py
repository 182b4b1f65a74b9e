"""Checks before Podium starts. Each one raises CannotStart with a one-line reason if it fails."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import socket
import tempfile
from pathlib import Path
from types import ModuleType

from people.file_permissions import make_private

DISK_NEEDED = 2 * 2**30


class CannotStart(Exception):
    """Podium can't start. The text says why and what to do."""


def make_folders(var: Path) -> None:
    """Create the folders of the data folder, and check that it can be written to."""
    try:
        for name in ("models", "datasets", "uploads", "backups", "run", "cache"):
            (var / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(
            f"The data folder {var} can't be created: {error.strerror}. Choose another with "
            "PODIUM_VAR."
        ) from None
    try:
        tempfile.TemporaryFile(dir=var).close()
    except OSError as error:
        raise CannotStart(
            f"The data folder {var} can't be written to: {error.strerror}. "
            "Choose another with PODIUM_VAR."
        ) from None


def close_to_others(var: Path) -> None:
    """Make files private that an earlier version left readable by other accounts."""
    try:
        opened = make_private(var)
    except OSError as error:
        raise CannotStart(
            f"{error.filename} can't be made private: {error.strerror}. Give it to this account "
            "with chown."
        ) from None
    if opened:
        print(
            f"Made {opened} files and folders in {var} private: other accounts could open them.",
            flush=True,
        )


def lock(var: Path) -> int:
    """Lock the data folder. Returns the descriptor that holds the lock; child processes inherit it.

    Raises CannotStart where another process holds the lock.
    """
    descriptor = os.open(var / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(descriptor, 20).decode().strip()
        os.close(descriptor)
        raise CannotStart(_already_locked(var, pid)) from None
    os.truncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def _already_locked(var: Path, pid: str) -> str:
    if pid and Path(f"/proc/{pid}").exists():
        return (
            f"Podium is already running on {var} (process {pid}). Stop it first, or choose another "
            "folder with PODIUM_VAR."
        )
    return (
        f"A process of an earlier start still uses {var} (process {pid}, which has ended, started "
        "it). Wait until it ends, or stop it."
    )


def shared(settings: ModuleType) -> None:
    """Raises CannotStart where this host has some roles only, and what it must share with the hosts
    that have the others is its own.
    """
    others = set(settings.EVERY_ROLE) - set(settings.ROLES)
    if not others:
        return
    shared_by_all = {
        "DATABASE_URL": settings.DATABASE_URL,
        "REDIS_URL": settings.REDIS_URL,
        "PODIUM_STORE": settings.STORE,
    }
    own = [name for name, value in shared_by_all.items() if not value]
    if own:
        raise CannotStart(
            f"PODIUM_ROLES leaves {', '.join(sorted(others))} to other hosts: set "
            f"{' and '.join(own)} to what they use, too."
        )


def port_is_free(host: str, port: int) -> None:
    """Raises CannotStart where the port can't be opened."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = addresses[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = (
            "is in use" if error.errno == errno.EADDRINUSE else f"can't be used: {error.strerror}"
        )
        raise CannotStart(
            f"Port {port} on {host} {reason}. Choose another one: PODIUM_PORT={port + 1} make up"
        ) from None


def disk_has_room(folder: Path, needed: int = DISK_NEEDED) -> None:
    """Raises CannotStart where fewer than `needed` bytes are free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CannotStart(
            f"Only {free / 2**30:.1f} GB are free in {folder}. Podium needs {needed / 2**30:.0f} "
            "GB: free some space."
        )


def secret(var: Path) -> None:
    """Create the secret key of the data folder, once."""
    file = var / "secret"
    if not file.exists():
        scratch = var / "secret.new"
        scratch.unlink(missing_ok=True)
        scratch.touch(mode=0o600)
        scratch.write_text(secrets.token_urlsafe(60) + "\n")
        os.replace(scratch, file)
