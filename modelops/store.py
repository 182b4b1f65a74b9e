"""One store for the files that any host may need: datasets, model versions, uploads, the rows that
imports left out, and checkpoints.

PODIUM_STORE is a folder, or s3://bucket/prefix. A file or a folder is written once, under its
sha256:

    DIGEST/data             the file, or the folder with its files
    DIGEST/complete.json    the names, sizes and hashes of its files, written last

A row refers to it by a place, store/DIGEST/data: never by a path of one host. With the default
store that is also where it lies below the data folder. Files of versions before the store keep
their places below the data folder, and are read there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from django.conf import settings
from django.utils.translation import gettext as _

from modelops.hashing import Watch, unwatched
from modelops.stores import Damaged, Full, Gone, StoreFault, Unreachable, disk_in_words, trees
from modelops.stores import listing as listings
from modelops.stores.folder import FolderStore
from modelops.stores.listing import Listing

if TYPE_CHECKING:
    from modelops.stores.bucket import Bucket

__all__ = ["Damaged", "Full", "Gone", "StoreFault", "Unreachable"]

OURS = re.compile(r"[0-9a-f]{64}|\.new-.*")
PLACE = re.compile(r"store/([0-9a-f]{64})/data")


def put(path: Path, watch: Watch = unwatched, content_type: str = "") -> str:
    """Store a file or a folder; returns its sha256. It is not written to again: where the store is
    a folder of the same file system, the files are linked there and not copied. With a
    `content_type` a bucket sends its files as downloads of this type.

    What is there already is not stored twice. Raises Full, Unreachable or Damaged, OSError where
    `path` can't be read, and what `watch` raises.
    """
    content = listings.of(path, watch)
    known = _store().listing(content.digest)
    if known is None:
        _store().put(path, content, watch, content_type)
    elif known != content:  # a file made to look like the list of a folder
        raise Damaged(_("The store holds something else under this digest."))
    else:
        _store().renew(content)
    return content.digest


def listing(digest: str) -> Listing:
    """The names, sizes and hashes of what is stored. Raises Gone, Damaged or Unreachable."""
    known = _store().listing(digest)
    if known is None:
        raise _gone(digest)
    return known


def get(digest: str, watch: Watch = unwatched) -> Path:
    """The path of the file or folder on this host; out of a bucket it comes into the cache, where
    it stays until release(). Raises Gone, Damaged, Full or Unreachable.
    """
    store = _store()
    if not isinstance(store, FolderStore):
        from modelops.stores import cache

        return cache.get(store, digest, watch)
    listing(digest)
    return store.path(digest)


def verified(digest: str, watch: Watch = unwatched) -> Path:
    """get(), after all its bytes were compared with what was stored. Raises Damaged with the name
    of a file that was changed, is gone or is new; and what get() and `watch` raise.
    """
    store = _store()
    if not isinstance(store, FolderStore):
        from modelops.stores import cache

        return cache.verified(store, digest, watch)
    path = store.path(digest)
    listing(digest).refuse_other(listings.of(path, watch))
    return path


def copy_to(digest: str, path: Path, watch: Watch = unwatched) -> None:
    """Copy the file or folder to `path`, where it may be written to. It appears there whole or not
    at all. Raises what verified() raises.
    """
    source = verified(digest, watch)
    with disk_in_words():
        trees.copy_whole(source, path, watch)


def open(digest: str, name: str = "") -> BinaryIO:
    """A file of a folder, or the file itself. Raises what get() raises, and FileNotFoundError."""
    path = get(digest)
    return (path / name if name else path).open("rb")


def signed(digest: str, name: str, method: str) -> str:
    """An address at which a browser gets a file of a folder from the bucket, for some minutes and
    with this method alone. Raises Unreachable.
    """
    return _of(settings.STORE, settings.SIGNED_DOWNLOADS).signed(digest, name, method)


def etag(digest: str, name: str) -> str:
    """The ETag that the bucket sends with a file of a folder. Raises Gone or Unreachable."""
    bucket = _store()
    assert not isinstance(bucket, FolderStore)
    return bucket.etag(digest, name)


def release() -> None:
    """What this thread has got from the store is not in use any more."""
    if is_bucket():
        from modelops.stores import cache

        cache.release()


def delete(digest: str) -> None:
    """Remove it from the store and from the cache of this host. Raises Unreachable."""
    _store().delete(digest)
    if is_bucket():
        from modelops.stores import cache

        cache.drop(digest)


def entries() -> Iterator[tuple[str, float, int]]:
    """(digest, when it was stored as a timestamp, bytes) of all that the store holds, also of what
    is incomplete; in a folder also what a killed process left (its name begins with a dot).
    """
    return (entry for entry in _store().entries() if OURS.fullmatch(entry[0]))


def check() -> None:
    """Ask for something that is not there. Raises Unreachable where the store does not answer."""
    _store().listing("0" * 64)


def forget_gone() -> None:
    """Remove from the cache of this host what the store has no more: it may be somebody's data."""
    if not is_bucket():
        return
    from modelops.stores import cache

    for digest in cache.digests():
        if _store().listing(digest) is None:
            cache.drop(digest)


# Places: what rows refer to


def place(digest: str) -> str:
    return f"store/{digest}/data"


def digest_of(place: str) -> str | None:
    """The digest that a place names; None for a place of versions before the store."""
    named = PLACE.fullmatch(place)
    return named[1] if named else None


def local(place: str, watch: Watch = unwatched) -> Path:
    """The path of what a row refers to, on this host. It may not exist if it is a place of versions
    before the store. Raises what get() raises.
    """
    digest = digest_of(place)
    return get(digest, watch) if digest else settings.VAR / place


def is_at(path: Path) -> bool:
    """Whether this lies in the store itself."""
    return not is_bucket() and path.resolve().is_relative_to(_folder().resolve())


def is_bucket() -> bool:
    return settings.STORE.startswith("s3://")


def _gone(digest: str) -> Gone:
    return Gone(
        _("The store has no complete files %(short)s: restore them from a backup.")
        % {"short": digest[:12]}
    )


def _store() -> FolderStore | Bucket:
    return _of(settings.STORE) if is_bucket() else FolderStore(_folder())


def _folder() -> Path:
    return Path(settings.STORE) if settings.STORE else settings.VAR / "store"


@lru_cache(maxsize=4)
def _of(address: str, endpoint: str = "") -> Bucket:
    from modelops.stores.bucket import Bucket  # loads obstore

    return Bucket(address, endpoint)
