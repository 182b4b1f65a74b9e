"""Training rows whose prompt is nearly a held-out one's: whoever learned from them has seen the
test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from labeling.exports.external_sort import Sorter
from labeling.text.similarity_index import SimilarityIndex
from modelops.rows import HELD_OUT


def drop(frozen: Sorter, row_of: Callable[[Any], dict]) -> int:
    """Take them out of what was sorted; returns how many."""
    near = near_held_out(lambda: map(row_of, frozen))
    frozen.drop(near)
    return len(near)


def near_held_out(rows: Callable[[], Iterable[dict]]) -> set[int]:
    """The places of those rows, of all that `rows` gives, as often as it is asked.

    A prompt of less than ten words is nobody's likeness.
    """
    if not {"train"} < {row["split"] for row in rows()}:
        return set()
    held = SimilarityIndex()
    for row in rows():
        if row["split"] in HELD_OUT and (sketch := _sketch(_said(row))) is not None:
            held.add(_bands(sketch), sketch)
    numbered = enumerate(rows())
    return {place for place, row in numbered if row["split"] == "train" and _known(held, row)}


def _known(held: SimilarityIndex, row: dict) -> bool:
    import numpy as np

    from labeling.text import similarity

    sketch = _sketch(_said(row))
    if sketch is None:
        return False
    near = (np.frombuffer(other, np.uint32) for other in held.sharing(_bands(sketch)))
    return any(similarity.alike(np.frombuffer(sketch, np.uint32), other) for other in near)


@lru_cache(1000)  # tasks of one prompt stand beside each other
def _sketch(said: str) -> bytes | None:
    from labeling.text import similarity  # brings 70 MB along, which few web processes need

    found = similarity.sketch(said)
    return None if found is None else found.tobytes()


def _bands(sketch: bytes) -> list[int]:
    import numpy as np

    from labeling.text import similarity

    return similarity.bands(np.frombuffer(sketch, np.uint32))


def _said(row: dict) -> str:
    if "messages" not in row:
        return row["text"]
    return "\n".join(turn["content"] for turn in row["messages"] if turn["role"] != "system")
