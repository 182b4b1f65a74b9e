"""Files that Podium writes are readable by its own account only: they hold personal data."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private(folder: Path) -> int:
    """Remove all permissions of group and others from the folder and everything in it.

    Returns how many paths had any. Links are not followed. Raises OSError for a path whose
    permissions this account may not change.
    """
    changed = 0
    for path in _paths(folder):
        try:
            mode = path.lstat().st_mode
            if mode & OTHERS and not stat.S_ISLNK(mode):
                path.chmod(stat.S_IMODE(mode) & ~OTHERS)
                changed += 1
        except FileNotFoundError:
            continue  # deleted in the meantime
    return changed


def _paths(folder: Path) -> Iterator[Path]:
    yield folder
    for root, folders, files in os.walk(folder):
        for name in folders + files:
            yield Path(root, name)
