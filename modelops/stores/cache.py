"""What this host has fetched from a bucket, in its data folder: up to a number of bytes, shared by
its processes.

An entry has a lock file beside it. Who fetches holds it alone; who uses the files shares it until
release(), at the end of a request or a job. What nobody holds may go, the least recently used
first: the lock file's time says when that was.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from modelops.hashing import Watch
from modelops.stores import Damaged, Full, Gone, listing
from modelops.stores.bucket import Bucket
from modelops.stores.folder import COMPLETE, DATA
from modelops.stores.listing import Listing

ARRIVING = f".{COMPLETE}"  # the list of files while they are fetched
log = logging.getLogger(__name__)
_held = threading.local()


def root() -> Path:
    return settings.VAR / "cache" / "store"


def get(bucket: Bucket, digest: str, watch: Watch) -> Path:
    """The files, fetched unless they are here; they stay until this thread calls release().

    Raises Gone, Damaged, Full or Unreachable.
    """
    folder = root() / digest
    while True:
        lock = _opened(digest)
        fcntl.flock(lock, fcntl.LOCK_SH)
        if (folder / COMPLETE).exists():
            os.utime(lock.name)
            _holds().append(lock)
            return folder / DATA
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if not (folder / COMPLETE).exists():
                _fetch(bucket, digest, folder, watch)
        finally:
            lock.close()


def verified(bucket: Bucket, digest: str, watch: Watch) -> Path:
    """get(), after all bytes were compared with what was stored; what was changed here is fetched
    again. Raises Damaged while others use it, and what get() raises.
    """
    path = get(bucket, digest, watch)
    try:
        Listing.from_json((path.parent / COMPLETE).read_bytes(), digest).refuse_other(
            listing.of(path, watch)
        )
        return path
    except Damaged as error:
        _release(digest)
        if not drop(digest):
            raise
        log.warning("%s It was only this host's copy, and is fetched again.", error)
        return get(bucket, digest, watch)  # compared as it arrives


def release() -> None:
    """What this thread has got is not in use any more."""
    for digest in {Path(lock.name).stem for lock in _holds()}:
        _release(digest)


def _release(digest: str) -> None:
    for lock in [lock for lock in _holds() if Path(lock.name).stem == digest]:
        _holds().remove(lock)
        lock.close()


def drop(digest: str) -> bool:
    """Remove an entry, unless somebody uses it."""
    with _alone(digest) as is_free:
        if is_free:
            _remove(root() / digest)
        return is_free


def digests() -> list[str]:
    """Of what is here, the least recently used first; also of what has not arrived whole."""
    locks = [(lock.stat().st_mtime, lock.stem) for lock in root().glob("*.lock")]
    return [digest for _at, digest in sorted(locks) if (root() / digest).exists()]


def _fetch(bucket: Bucket, digest: str, folder: Path, watch: Watch) -> None:
    known = bucket.listing(digest)
    if known is None:
        raise Gone(
            _("The store has no complete files %(short)s: restore them from a backup.")
            % {"short": digest[:12]}
        )
    with open(root() / ".room", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process counts at a time
        _make_room(known)
        folder.mkdir(exist_ok=True)
        (folder / ARRIVING).write_bytes(known.as_json())
    bucket.fetch(known, folder / DATA, watch)
    (folder / ARRIVING).rename(folder / COMPLETE)


def _make_room(wanted: Listing) -> None:
    """Raises Full if what others use leaves no room for it."""
    others = [digest for digest in digests() if digest != wanted.digest]
    sizes = {digest: _size(root() / digest) for digest in others}
    for digest in others:
        if sum(sizes.values()) + wanted.size <= settings.STORE_CACHE:
            return
        if drop(digest):
            del sizes[digest]
    if sum(sizes.values()) + wanted.size > settings.STORE_CACHE:
        raise Full(
            _(
                "%(wanted)s are to be fetched from the store, and the cache of this host may "
                "hold %(limit)s, of which %(used)s are in use: raise PODIUM_STORE_CACHE."
            )
            % {
                "wanted": filesizeformat(wanted.size),
                "limit": filesizeformat(settings.STORE_CACHE),
                "used": filesizeformat(sum(sizes.values())),
            }
        )


def _size(folder: Path) -> int:
    """In bytes; of what is arriving, once it is whole."""
    for name in (COMPLETE, ARRIVING):
        try:
            return Listing.from_json((folder / name).read_bytes(), folder.name).size
        except (FileNotFoundError, Damaged):
            continue
    return 0


def _remove(folder: Path) -> None:
    (folder / COMPLETE).unlink(missing_ok=True)  # a removal that is cut off leaves no whole entry
    shutil.rmtree(folder, ignore_errors=True)


def _opened(digest: str) -> IO[str]:
    root().mkdir(parents=True, exist_ok=True)
    return open(root() / f"{digest}.lock", "a")


@contextmanager
def _alone(digest: str) -> Iterator[bool]:
    with _opened(digest) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _holds() -> list[IO[str]]:
    if not hasattr(_held, "locks"):
        _held.locks = []
    locks: list[IO[str]] = _held.locks
    return locks
