"""Checkpoints count only when they are complete, which their marker says. Imports no torch."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from workers.trainers.run.runs import flush, flush_tree

MARKER = "complete.json"


def mark(checkpoint: Path) -> None:
    """Flush a checkpoint to the disk, then say in its marker which files it has and how long they
    are.
    """
    flush_tree(checkpoint)
    sizes = {
        str(path.relative_to(checkpoint)): path.stat().st_size
        for path in checkpoint.rglob("*")
        if path.is_file()
    }
    part = checkpoint / (MARKER + ".part")
    part.write_text(json.dumps(sizes))
    flush(part)
    os.replace(part, checkpoint / MARKER)
    flush(checkpoint)


def is_complete(checkpoint: Path) -> bool:
    """Does it have its marker, and every file the marker names at the length it names?"""
    try:
        sizes = json.loads((checkpoint / MARKER).read_text())
        return all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def newest(folder: Path) -> Path | None:
    """The complete checkpoint with the most steps; the incomplete ones are deleted."""
    for checkpoint in _by_step(folder):
        if not is_complete(checkpoint):
            shutil.rmtree(checkpoint)
    return newest_complete(folder)


def newest_complete(folder: Path) -> Path | None:
    """The same, while somebody else may be writing the next one."""
    complete = [checkpoint for checkpoint in _by_step(folder) if is_complete(checkpoint)]
    return complete[-1] if complete else None


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def _by_step(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*"), key=step_of)
