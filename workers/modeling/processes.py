"""The processes that train one model together; `accelerate launch` numbers them. No torch here."""

from __future__ import annotations

import os


def is_first() -> bool:
    """Is this the process that speaks and writes? Of several that train together (accelerate
    launch) only one does.
    """
    return os.environ.get("RANK", "0") == "0"


def processes() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))
