"""Contamination: training rows whose prompt is nearly the same as a held-out prompt.

A model that learned from them has seen the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from labeling.exports.external_sort import Sorter
from labeling.text.similarity_index import SimilarityIndex, alike
from modelops.rows import HELD_OUT, spoken


def drop(frozen: Sorter) -> int:
    """Remove contaminated training rows from the sorted rows, whose `brief` is stored beside them;
    returns how many.
    """
    near = near_held_out(frozen.briefs)
    frozen.drop(near)
    return len(near)


def brief(row: dict[str, Any]) -> dict[str, Any]:
    """What of a row near_held_out() reads: the answers are most of it, and are never compared."""
    return {name: row[name] for name in ("split", "messages" if "messages" in row else "text")}


def near_held_out(rows: Callable[[], Iterable[dict[str, Any]]]) -> set[int]:
    """The positions of training rows whose prompt is nearly a held-out prompt.

    `rows` is called several times, and gives all rows each time. Prompts of less than ten words
    are never compared.
    """
    splits = {row["split"] for row in rows()}
    if not {"train"} < splits:
        return set()
    held_out = SimilarityIndex()
    for row in rows():
        if row["split"] in HELD_OUT and (sketch := _sketch(_text(row))) is not None:
            held_out.add(_bands(sketch), sketch)
    return {
        position
        for position, row in enumerate(rows())
        if row["split"] == "train" and _is_near(held_out, row)
    }


def _is_near(index: SimilarityIndex, row: dict[str, Any]) -> bool:
    """Whether the row's prompt is similar to one of the index."""
    sketch = _sketch(_text(row))
    if sketch is None:
        return False
    return any(alike(sketch, other) for other in index.sharing(_bands(sketch)))


@lru_cache(1000)  # tasks of one prompt follow each other
def _sketch(text: str) -> bytes | None:
    from labeling.text import similarity  # its imports take memory, which few web processes need

    sketch = similarity.sketch(text)
    return None if sketch is None else sketch.tobytes()


def _bands(sketch: bytes) -> list[int]:
    import numpy as np

    from labeling.text import similarity

    return similarity.bands(np.frombuffer(sketch, np.uint32))


def _text(row: dict[str, Any]) -> str:
    """What is compared: the text of the row, or the conversation without its instructions."""
    if "messages" not in row:
        text: str = row["text"]
        return text
    return "\n".join(spoken(row["messages"]))
