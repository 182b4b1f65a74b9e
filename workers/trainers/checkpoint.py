"""Checkpoints that count only when they are complete."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from accelerate import PartialState
from transformers import TrainerCallback

from workers.trainers.runs import flush, flush_tree

MARKER = "complete.json"


class MarkComplete(TrainerCallback):
    """Writes a checkpoint's marker after transformers has written everything else of it."""

    def on_save(self, args, state, control, **_):
        PartialState().wait_for_everyone()  # each process saves its own random state
        if state.is_world_process_zero:
            mark(Path(args.output_dir) / f"checkpoint-{state.global_step}")


def mark(checkpoint: Path) -> None:
    """Flush a checkpoint to the disk, then say in its marker which files it has and how long they are."""
    flush_tree(checkpoint)
    sizes = {str(path.relative_to(checkpoint)): path.stat().st_size for path in checkpoint.rglob("*") if path.is_file()}
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
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for checkpoint in found:
        if not is_complete(checkpoint):
            shutil.rmtree(checkpoint)
    complete = [checkpoint for checkpoint in found if checkpoint.exists()]
    return complete[-1] if complete else None
