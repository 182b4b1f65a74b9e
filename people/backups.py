"""Backups: one .tar file with the database, datasets, models, uploads and the secret key.

It is not compressed, because weights don't compress. The database is copied before the files, so
that every file that it refers to is in the backup; files are never half written. Running jobs and
their logs are left out: a resumed job starts again. Models outside of the store and the data folder
are not copied; the database only holds their paths.

The last entry, contents.json, lists each file with its size and sha256, and the rows of each table.
A restore compares them before it replaces anything. A file with several names is copied once; the
list has the others.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from django.conf import settings
from django.db import connection

from people.file_permissions import make_private
from people.signals import kept_files

FOLDERS = ("store", "datasets", "models", "uploads")
FILES = ("secret", "demo-accounts.txt")
CONTENTS = "contents.json"
VERSION = 1


class BackupFailed(Exception):
    """The backup was not written or not restored. The text says why and what to do."""


@dataclass
class Contents:
    """What a backup holds: sizes and hashes of its files, the number of rows of each table (empty
    for PostgreSQL, whose dump is not opened), and further names of files, each with the first one.
    """

    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """What a backup lacks of what rows refer to: what is gone from the data folder, in words, and
    how many files are in a store outside of it.
    """

    missing: list[str]
    elsewhere: int


# Writing


def default_file(stem: str = "podium") -> Path:
    return settings.VAR / "backups" / f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}.tar"


def write(file: Path, database_only: bool = False) -> Written:
    """Write the backup to `file`, atomically. Podium may be running. Raises BackupFailed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    kept = {} if database_only else _kept()  # asked first: later ones may not be copied any more
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        with (
            tempfile.TemporaryDirectory(dir=file.parent) as scratch,
            tarfile.open(part, "w", dereference=True) as tar,
        ):
            dump = Path(scratch) / "database"
            dump_database(dump)
            archive = _Archive(tar, Contents(tables=_open_database(dump)))
            archive.add_text("manifest.json", _manifest_now())
            archive.add_file(dump, "database")
            if not database_only:
                for name in FILES + FOLDERS:
                    archive.add(settings.VAR / name, name)
            archive.add_text(CONTENTS, vars(archive.contents))
            copied = set(tar.getnames())
        os.replace(part, file)
    except OSError as error:
        raise BackupFailed(f"The backup was not written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    elsewhere = {place for place in kept if settings.STORE and place.startswith("store/")}
    missing = [kept[place] for place in kept if place not in copied | elsewhere]
    return Written(sorted(missing), len(elsewhere))


def _kept() -> dict[str, str]:
    kept: dict[str, str] = {}
    for _receiver, places in kept_files.send(None):
        kept |= places
    return kept


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


def _manifest_now() -> dict[str, Any]:
    made = time.strftime("%FT%T%z")
    return {"podium_backup": VERSION, "database": connection.vendor, "made": made}


class _Archive:
    """A .tar that is written, and the list of what it holds."""

    def __init__(self, tar: tarfile.TarFile, contents: Contents):
        self.tar, self.contents = tar, contents
        # by device, inode, and what tells the file from a later one that was given its inode
        self.names: dict[tuple[int, ...], str] = {}

    def add_text(self, name: str, value: dict[str, Any]) -> None:
        text = json.dumps(value).encode()
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime = len(text), int(time.time())
        self.tar.addfile(entry, io.BytesIO(text))

    def add(self, path: Path, name: str) -> None:
        """Add a file or a folder, without temporary files (their names begin with a dot)."""
        if path.name.startswith("."):
            return
        try:
            if not path.is_dir():
                self.add_file(path, name)
                return
            self.tar.add(path, name, recursive=False)
            children = sorted(path.iterdir())
        except FileNotFoundError:
            return  # it doesn't exist, or was just deleted
        for child in children:
            self.add(child, f"{name}/{child.name}")

    def add_file(self, path: Path, name: str) -> None:
        with open(path, "rb") as file:
            state = os.fstat(file.fileno())
            file_id = (state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size)
            first = self.names.setdefault(file_id, name)
            if first != name:
                self.contents.same[name] = first
                return
            entry = self.tar.gettarinfo(arcname=name, fileobj=file)
            entry.type, entry.linkname = tarfile.REGTYPE, ""  # also of a file with several names
            hashed = _Hashed(file)
            self.tar.addfile(entry, hashed)
        self.contents.files[name] = entry.size, hashed.sha256.hexdigest()


class _Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]):
        self.file, self.sha256 = file, hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.sha256.update(data)
        return data


# Restoring


def restore(file: Path) -> Path:
    """Restore the backup. Returns the folder to which the replaced data was moved. Raises
    BackupFailed.
    """
    with nothing_runs("you restore a backup"):
        with _extracted(file) as (scratch, _contents):
            aside = settings.VAR / "backups" / f"replaced-{time.strftime('%Y%m%d-%H%M%S')}"
            aside.mkdir(parents=True, mode=0o700)
            restore_database(scratch / "database", aside)
            for name in FILES + FOLDERS:
                if (scratch / name).exists():
                    _replace(scratch / name, settings.VAR / name, aside)
    return aside


def try_out(file: Path) -> Contents:
    """Unpack the backup beside the data, compare its files with what was written, and open its
    database; nothing is replaced, and Podium may be running. Raises BackupFailed.
    """
    settings.VAR.mkdir(parents=True, exist_ok=True)
    with _extracted(file) as (_scratch, contents):
        return contents


@contextmanager
def _extracted(file: Path) -> Iterator[tuple[Path, Contents]]:
    """The backup, unpacked and found whole."""
    scratch = Path(tempfile.mkdtemp(dir=settings.VAR, prefix=".restore-"))
    try:
        with _opened(file) as tar:
            manifest = _manifest(tar)
            if manifest["database"] != connection.vendor:
                raise BackupFailed(
                    f"The backup holds a {manifest['database']} database, but this installation "
                    f"uses {connection.vendor}. Set or unset DATABASE_URL."
                )
            _extract(tar, scratch)
        yield scratch, _whole(scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _whole(folder: Path) -> Contents:
    """What was unpacked is what was written. Raises BackupFailed. Of backups of versions before
    contents.json only the database is looked at.
    """
    listed = folder / CONTENTS
    contents = Contents(**json.loads(listed.read_text())) if listed.exists() else Contents()
    for name, (size, sha256) in contents.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            raise BackupFailed(f"The backup lacks {name}, or part of it. Nothing was restored.")
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise BackupFailed(f"{name} in the backup is damaged. Nothing was restored.")
    for name, first in contents.same.items():
        os.link(_inside(folder, first), _inside(folder, name))
    dump = folder / "database"
    if not dump.exists():
        raise BackupFailed("The backup holds no database. Nothing was restored.")
    tables = _open_database(dump)
    if listed.exists() and tables != contents.tables:
        raise BackupFailed("The backup's database lacks rows. Nothing was restored.")
    return Contents(contents.files, tables, contents.same)


def _inside(folder: Path, name: str) -> Path:
    """A file of the backup by its name. Raises BackupFailed where that leads out of the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise BackupFailed(f"The backup names {name}, which Podium never does.")
    return folder / path


def _open_database(dump: Path) -> dict[str, int]:
    """The number of rows of each table; of a PostgreSQL dump none: its list of contents is read.
    Raises BackupFailed where it is damaged, or no database of Podium's.
    """
    no_database = BackupFailed("The database in the backup can't be opened: it is damaged.")
    if connection.vendor != "sqlite":
        _postgres_tool("pg_restore", "--list", dump)
        return {}
    try:
        with closing(sqlite3.connect(f"file:{dump}?mode=ro&immutable=1", uri=True)) as database:
            if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise no_database
            tables = [
                name
                for (name,) in database.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
                )
            ]
            if "django_migrations" not in tables:
                raise BackupFailed("The database in the backup is not one of Podium's.")
            return {
                name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
                for name in tables
            }
    except sqlite3.Error as error:
        raise no_database from error


@contextmanager
def nothing_runs(before: str) -> Iterator[None]:
    """Lock the data folder, as `make up` does. Raises BackupFailed while Podium is running: it has
    to stop before what the words say.
    """
    settings.VAR.mkdir(parents=True, exist_ok=True)
    with open(settings.VAR / "up.lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupFailed(
                f"Podium is using this data folder. Stop it before {before}."
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
    _postgres_tool(program, f"--dbname={parameters['dbname']}", *options, env=environment)


def _postgres_tool(program: str, *options, env: dict[str, str] | None = None) -> None:
    """Raises BackupFailed."""
    command = [program, *map(str, options)]
    try:
        completed = subprocess.run(command, env=env, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise BackupFailed(
            f"{program} is not installed. On Debian: apt install postgresql-client."
        ) from error
    if completed.returncode:
        lines = completed.stderr.strip().splitlines() or ["no reason given"]
        raise BackupFailed(f"{program} failed: {lines[0]}")
