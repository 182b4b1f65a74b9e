"""A file, or a folder with its files, copied or linked to another place."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from modelops.hashing import BLOCK, Watch, unwatched
from modelops.stores.listing import files_of

ARRIVING = ".arriving-"  # what a copy is called until it is whole


def copy(source: Path, target: Path, watch: Watch = unwatched, links: bool = False) -> None:
    """Copy a file or a folder, but for hidden folders. With `links` its files are linked where the
    file system can: they are not to be written to again.
    """
    if source.is_dir():
        target.mkdir(parents=True)
    for name, file in files_of(source).items():
        to = target / name if name else target
        to.parent.mkdir(parents=True, exist_ok=True)
        if not (links and _link(file.resolve(), to)):
            _copy_file(file, to, watch)


def copy_whole(source: Path, target: Path, watch: Watch = unwatched) -> None:
    """Copy a file or a folder so that it appears whole or not at all. Where another process has
    brought the folder meanwhile, that one stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    arriving = target.with_name(f"{ARRIVING}{secrets.token_hex(8)}")
    try:
        copy(source, arriving, watch)
        try:
            arriving.rename(target)
        except OSError:
            if not target.exists():
                raise
    finally:
        remove(arriving)


def remove(path: Path) -> None:
    """Delete a file or a folder; nothing if there is none."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _link(file: Path, to: Path) -> bool:
    try:
        os.link(file, to)
    except OSError:  # another file system, or one without links: copying says what else is wrong
        return False
    return True


def _copy_file(file: Path, to: Path, watch: Watch) -> None:
    with open(file, "rb") as source, open(to, "wb") as out:
        while block := source.read(BLOCK):
            out.write(block)
            watch(0)
        out.flush()
        os.fsync(out.fileno())
