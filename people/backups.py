"""One file that brings an installation back: database, datasets, models, uploads and the key they
were salted with.

A plain .tar: weights don't compress. The database is copied first and the files after it, so that
every file that the copy names is there; files only ever appear whole. Runs in progress and logs of
runs are left out: a resumed job begins them again. Models that lie outside the data folder are
named, not copied.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.db import connection

from people.file_permissions import make_private

FOLDERS = ("datasets", "models", "uploads")
FILES = ("secret", "demo-accounts.txt")
VERSION = 1


class BackupFailed(Exception):
    """The backup was not written, or not restored; the text says why and what to do."""


# Writing


def default_file(stem: str = "podium") -> Path:
    return settings.VAR / "backups" / f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}.tar"


def write(file: Path, database_only: bool = False) -> None:
    """Write the backup to `file`, which appears whole or not at all. Podium may be running."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        with (
            tempfile.TemporaryDirectory(dir=file.parent) as scratch,
            tarfile.open(part, "w", dereference=True) as tar,
        ):
            dump = Path(scratch) / "database"
            dump_database(dump)
            _add_manifest(tar)
            tar.add(dump, "database")
            if not database_only:
                for name in FILES + FOLDERS:
                    _add(tar, settings.VAR / name, name)
        os.replace(part, file)
    except OSError as error:
        raise BackupFailed(f"The backup could not be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def dump_database(file: Path) -> None:
    """A consistent copy while others write."""
    if connection.vendor == "sqlite":
        with (
            closing(sqlite3.connect(connection.settings_dict["NAME"])) as live,
            closing(sqlite3.connect(file)) as copy,
        ):
            live.backup(copy)
    else:
        _postgres("pg_dump", "--format=custom", "--no-owner", f"--file={file}")


def _add_manifest(tar: tarfile.TarFile) -> None:
    text = json.dumps(
        {"podium_backup": VERSION, "database": connection.vendor, "made": time.strftime("%FT%T%z")}
    ).encode()
    entry = tarfile.TarInfo("manifest.json")
    entry.size, entry.mtime = len(text), int(time.time())
    tar.addfile(entry, io.BytesIO(text))


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """Add a file or a folder, without what is only half made (its name begins with a dot)."""
    if path.name.startswith("."):
        return
    try:
        tar.add(path, name, recursive=False)
        inside = sorted(path.iterdir()) if path.is_dir() else []
    except FileNotFoundError:
        return  # never made, or removed meanwhile
    for child in inside:
        _add(tar, child, f"{name}/{child.name}")


# Restoring


def restore(file: Path) -> Path:
    """Put the backup in the place of what is there, which is moved to the folder that is returned."""
    with _nothing_runs(), _opened(file) as tar:
        manifest = _manifest(tar)
        if manifest["database"] != connection.vendor:
            raise BackupFailed(
                f"The backup is of a {manifest['database']} database and this installation uses "
                f"{connection.vendor}:"
                " set or unset DATABASE_URL."
            )
        scratch = Path(tempfile.mkdtemp(dir=settings.VAR, prefix=".restore-"))
        try:
            _extract(tar, scratch)
            aside = settings.VAR / "backups" / f"replaced-{time.strftime('%Y%m%d-%H%M%S')}"
            aside.mkdir(parents=True, mode=0o700)
            restore_database(scratch / "database", aside)
            for name in FILES + FOLDERS:
                if (scratch / name).exists():
                    _replace(scratch / name, settings.VAR / name, aside)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return aside


@contextmanager
def _nothing_runs():
    """Hold the data folder as `make up` does. Raises BackupFailed while that runs."""
    settings.VAR.mkdir(parents=True, exist_ok=True)
    with open(settings.VAR / "up.lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupFailed(
                "Podium is running on this data folder: stop it before you restore."
            ) from None
        yield


@contextmanager
def _opened(file: Path):
    try:
        with tarfile.open(file, "r:") as tar:
            yield tar
    except (OSError, tarfile.TarError) as error:
        raise BackupFailed(f"{file} can't be read or unpacked: {error}") from error


def _manifest(tar: tarfile.TarFile) -> dict:
    try:
        manifest = json.load(tar.extractfile("manifest.json"))
        if manifest["podium_backup"] == VERSION:
            return manifest
    except (KeyError, ValueError, TypeError, AttributeError):
        pass
    raise BackupFailed(f"{tar.name} is not a backup that this Podium wrote.")


def _extract(tar: tarfile.TarFile, folder: Path) -> None:
    """Unpack plain files and folders only, none of them outside `folder`."""
    members = tar.getmembers()
    for member in members:
        path = PurePosixPath(member.name)
        if not (member.isfile() or member.isdir()) or path.is_absolute() or ".." in path.parts:
            raise BackupFailed(
                f"The backup holds {member.name}, which no Podium wrote there; nothing was "
                "restored."
            )
    tar.extractall(folder, members, filter="data")
    make_private(folder)  # the rights in the file are those of when it was written


def restore_database(dump: Path, aside: Path) -> None:
    """Raises BackupFailed; the database as it was lies in `aside` then."""
    if not dump.exists():
        raise BackupFailed("The backup holds no database; nothing was restored.")
    connection.close()
    if connection.vendor == "sqlite":
        live = Path(connection.settings_dict["NAME"])
        for leftover in (
            live,
            live.with_name(live.name + "-wal"),
            live.with_name(live.name + "-shm"),
        ):
            if leftover.exists():
                shutil.move(leftover, aside / leftover.name)
        shutil.move(dump, live)
    else:
        _postgres("pg_dump", "--format=custom", "--no-owner", f"--file={aside / 'database'}")
        with connection.cursor() as cursor:  # tables that a newer Podium added must go too
            cursor.execute("DROP SCHEMA public CASCADE")
            cursor.execute("CREATE SCHEMA public")
        connection.close()
        try:
            _postgres("pg_restore", "--no-owner", "--single-transaction", "--exit-on-error", dump)
        except BackupFailed as error:
            raise BackupFailed(
                f"{error} The database is empty now; as it was, it lies in {aside}: restore it "
                "with pg_restore."
            ) from error


def _replace(new: Path, old: Path, aside: Path) -> None:
    if old.exists():
        shutil.move(old, aside / old.name)
    shutil.move(new, old)


def _postgres(program: str, *options) -> None:
    """Run PostgreSQL's own tool on our database; the password goes by the environment, where nobody
    reads it.
    """
    database = connection.get_connection_params()
    known = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "sslmode": "PGSSLMODE",
    }
    environment = os.environ | {
        known[name]: str(value) for name, value in database.items() if name in known and value
    }
    command = [program, f"--dbname={database['dbname']}", *map(str, options)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise BackupFailed(
            f"{program} is not installed: on Debian, apt install postgresql-client."
        ) from error
    if done.returncode:
        raise BackupFailed(
            f"{program} failed: {(done.stderr.strip().splitlines() or ['no reason given'])[0]}"
        )
