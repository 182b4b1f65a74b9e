"""Training rows whose prompt is nearly a held-out one's: whoever learned from them has seen the test."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from labeling.imports.scratch import Scratch
from labeling.sorting import Sorter
from modelops.rows import HELD_OUT


def drop(frozen: Sorter, row_of: Callable[[Any], dict]) -> int:
    """Take them out of what was sorted; returns how many. A prompt of less than ten words is nobody's likeness."""
    if not {"train"} < {row["split"] for row in map(row_of, frozen)}:
        return 0
    held = Scratch()
    for row in map(row_of, frozen):
        if row["split"] in HELD_OUT and (sketch := _sketch(_said(row))) is not None:
            held.add_sketch(_bands(sketch), sketch)
    near = {place for place, row in enumerate(map(row_of, frozen)) if row["split"] == "train" and _known(held, row)}
    frozen.drop(near)
    return len(near)


def _known(held: Scratch, row: dict) -> bool:
    import numpy as np

    from labeling.imports import similar

    sketch = _sketch(_said(row))
    if sketch is None:
        return False
    near = (np.frombuffer(other, np.uint32) for other in held.sharing(_bands(sketch)))
    return any(similar.alike(np.frombuffer(sketch, np.uint32), other) for other in near)


@lru_cache(1000)  # tasks of one prompt stand beside each other
def _sketch(said: str) -> bytes | None:
    from labeling.imports import similar  # brings 70 MB along, which no web process needs

    found = similar.sketch(said)
    return None if found is None else found.tobytes()


def _bands(sketch: bytes) -> list[int]:
    import numpy as np

    from labeling.imports import similar

    return similar.bands(np.frombuffer(sketch, np.uint32))


def _said(row: dict) -> str:
    if "messages" not in row:
        return row["text"]
    return "\n".join(turn["content"] for turn in row["messages"] if turn["role"] != "system")
