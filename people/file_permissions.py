"""What Podium writes is for its own account alone: sessions, passwords, what people wrote."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private(folder: Path) -> int:
    """Take all rights on the folder and what is in it from others; returns how many paths were
    open.

    Links are not followed. Raises OSError for a path whose rights this account may not change.
    """
    opened = 0
    for path in _paths(folder):
        try:
            mode = path.lstat().st_mode
            if mode & OTHERS and not stat.S_ISLNK(mode):
                path.chmod(stat.S_IMODE(mode) & ~OTHERS)
                opened += 1
        except FileNotFoundError:
            continue  # removed meanwhile
    return opened


def _paths(folder: Path) -> Iterator[Path]:
    yield folder
    for root, folders, files in os.walk(folder):
        for name in folders + files:
            yield Path(root, name)
