"""Hashes of files that may be large: whoever waits for one is told how far it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

BLOCK = 4 * 2**20  # bytes that are read at once
Watch = Callable[[int], None]  # called with how many more bytes have passed; may raise to stop


def unwatched(count: int) -> None:
    """Nobody waits: a request or a command does the work itself."""


def add_file(sha: Any, file: Path, watch: Watch = unwatched) -> Any:
    """The hash object, after the file's bytes. Raises what `watch` raises."""
    with open(file, "rb") as stream:
        while block := stream.read(BLOCK):
            sha.update(block)
            watch(len(block))
    return sha
