"""Backups: one .tar file with the database, datasets, models, uploads and the secret key.

It is not compressed, because weights don't compress. The database is copied before the files, so
that every file that it refers to is in the backup; files are never half written. Running jobs and
their logs are left out: a resumed job starts again. Models outside the data folder are not copied;
the database only holds their paths.
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

FOLDERS = ("store", "datasets", "models", "uploads")
FILES = ("secret", "demo-accounts.txt")
VERSION = 1


class BackupFailed(Exception):
    """The backup was not written or not restored. The text says why and what to do."""


# Writing


def default_file(stem: str = "podium") -> Path:
    return settings.VAR / "backups" / f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}.tar"


def write(file: Path, database_only: bool = False) -> None:
    """Write the backup to `file`, atomically. Podium may be running. Raises BackupFailed."""
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
        raise BackupFailed(f"The backup was not written: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def dump_database(file: Path) -> None:
    """Write a consistent copy of the database to `file`, even while others write."""
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
    """Add a file or a folder, without temporary files (their names begin with a dot)."""
    if path.name.startswith("."):
        return
    try:
        tar.add(path, name, recursive=False)
        children = sorted(path.iterdir()) if path.is_dir() else []
    except FileNotFoundError:
        return  # it doesn't exist, or was just deleted
    for child in children:
        _add(tar, child, f"{name}/{child.name}")


# Restoring


def restore(file: Path) -> Path:
    """Restore the backup. Returns the folder to which the replaced data was moved."""
    with _nothing_runs(), _opened(file) as tar:
        manifest = _manifest(tar)
        if manifest["database"] != connection.vendor:
            raise BackupFailed(
                f"The backup holds a {manifest['database']} database, but this installation uses "
                f"{connection.vendor}. Set or unset DATABASE_URL."
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
    """Lock the data folder, as `make up` does. Raises BackupFailed while Podium is running."""
    settings.VAR.mkdir(parents=True, exist_ok=True)
    with open(settings.VAR / "up.lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupFailed(
                "Podium is using this data folder. Stop it before you restore a backup."
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
    raise BackupFailed(f"{tar.name} is not a backup of this version of Podium.")


def _extract(tar: tarfile.TarFile, folder: Path) -> None:
    """Unpack into `folder`. Raises BackupFailed for links, special files and outside paths."""
    members = tar.getmembers()
    for member in members:
        path = PurePosixPath(member.name)
        if not (member.isfile() or member.isdir()) or path.is_absolute() or ".." in path.parts:
            raise BackupFailed(
                f"The backup holds {member.name}, which Podium never writes. Nothing was restored."
            )
    tar.extractall(folder, members, filter="data")
    make_private(folder)  # an old backup may hold files that others can read


def restore_database(dump: Path, aside: Path) -> None:
    """Replace the database by `dump`. The replaced one is saved in `aside`. Raises BackupFailed."""
    if not dump.exists():
        raise BackupFailed("The backup holds no database. Nothing was restored.")
    connection.close()
    if connection.vendor == "sqlite":
        live = Path(connection.settings_dict["NAME"])
        for suffix in ("", "-wal", "-shm"):
            file = live.with_name(live.name + suffix)
            if file.exists():
                shutil.move(file, aside / file.name)
        shutil.move(dump, live)
    else:
        _postgres("pg_dump", "--format=custom", "--no-owner", f"--file={aside / 'database'}")
        with connection.cursor() as cursor:  # also drops tables that a newer version added
            cursor.execute("DROP SCHEMA public CASCADE")
            cursor.execute("CREATE SCHEMA public")
        connection.close()
        try:
            _postgres("pg_restore", "--no-owner", "--single-transaction", "--exit-on-error", dump)
        except BackupFailed as error:
            raise BackupFailed(
                f"{error} The database is empty now. Its previous content is in {aside}: restore "
                "it with pg_restore."
            ) from error


def _replace(new: Path, old: Path, aside: Path) -> None:
    if old.exists():
        shutil.move(old, aside / old.name)
    shutil.move(new, old)


def _postgres(program: str, *options) -> None:
    """Run a PostgreSQL tool on our database. Raises BackupFailed.

    The password goes into the environment, because other accounts can read the command line.
    """
    parameters = connection.get_connection_params()
    variables = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "sslmode": "PGSSLMODE",
    }
    environment = os.environ | {
        variable: str(parameters[name])
        for name, variable in variables.items()
        if parameters.get(name)
    }
    command = [program, f"--dbname={parameters['dbname']}", *map(str, options)]
    try:
        completed = subprocess.run(command, env=environment, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise BackupFailed(
            f"{program} is not installed. On Debian: apt install postgresql-client."
        ) from error
    if completed.returncode:
        lines = completed.stderr.strip().splitlines() or ["no reason given"]
        raise BackupFailed(f"{program} failed: {lines[0]}")
