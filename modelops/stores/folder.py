"""A store in a folder: of this host, or one that all hosts see (NFS, for example)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelops.hashing import Watch
from modelops.stores import disk_in_words, trees
from modelops.stores.listing import Listing

DATA, COMPLETE = "data", "complete.json"  # the second is written last


class FolderStore:
    def __init__(self, root: Path):
        self.root = root

    def path(self, digest: str) -> Path:
        return self.root / digest / DATA

    def listing(self, digest: str) -> Listing | None:
        """What is stored under the digest; None unless it is complete. Raises Damaged."""
        try:
            with disk_in_words():
                content = (self.root / digest / COMPLETE).read_bytes()
        except FileNotFoundError:
            return None
        return Listing.from_json(content, digest)

    def put(self, path: Path, listing: Listing, watch: Watch, content_type: str = "") -> None:
        """Store what lies there: it appears whole or not at all. On one file system nothing is
        copied: the files are linked, and are not to be written to again.
        """
        target = self.root / listing.digest
        with disk_in_words(), self._scratch() as scratch:
            trees.copy(path, scratch / DATA, watch, links=True)
            _write(scratch / COMPLETE, listing.as_json())
            try:
                scratch.rename(target)
            except OSError:
                if self.listing(listing.digest) is not None:
                    return  # the same was stored just now
                self.delete(listing.digest)  # the rest of an incomplete copy
                scratch.rename(target)

    def renew(self, listing: Listing) -> None:
        """It was just stored again: it counts as new."""
        with disk_in_words():
            os.utime(self.root / listing.digest / COMPLETE)

    def delete(self, digest: str) -> None:
        with disk_in_words(), self._scratch() as scratch:
            try:
                (self.root / digest).rename(scratch / "deleted")  # gone at once, then file by file
            except FileNotFoundError:
                return

    def entries(self) -> Iterator[tuple[str, float, int]]:
        """(digest, when it was stored as a timestamp, bytes) of all that lies there, also of what
        is incomplete.
        """
        for folder in sorted(self.root.glob("*")):
            mark = folder / COMPLETE
            try:
                stored_at = (mark if mark.exists() else folder).stat().st_mtime
                size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            except FileNotFoundError:
                continue  # deleted meanwhile
            yield folder.name, stored_at, size

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        self.root.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=self.root, prefix=".new-"))
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _write(file: Path, content: bytes) -> None:
    with open(file, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
