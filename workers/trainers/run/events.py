"""What a trainer tells its parent: JSON lines on the real stdout, one event each, and nothing else
there.
"""

from __future__ import annotations

import errno
import json
import math
import os
import sys
import traceback
from typing import Any, TextIO

Past = list[tuple[int, dict[str, float]]]  # steps with their figures
_out: TextIO | None = None  # until own_stdout() is called, events go to whatever sys.stdout is
_errors_only = False


class Stop(Exception):
    """A trainer cannot go on; the message is the one sentence that tells a person what to do."""


def own_stdout() -> None:
    """Keep the real stdout for events; whatever libraries print, from C too, goes to stderr from
    now on.
    """
    global _out
    _out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    sys.excepthook = _died


def say_errors_only() -> None:
    """No other events from this process: another one speaks for all that train together."""
    global _errors_only
    _errors_only = True


def emit(event: str, **fields: Any) -> None:
    """Write one event. Numbers JSON cannot hold (NaN, infinities) become null."""
    if _errors_only and event != "error":
        return
    line = json.dumps({"event": event, **_finite(fields)}, ensure_ascii=False, allow_nan=False)
    try:
        print(line, file=_out or sys.stdout, flush=True)
    except BrokenPipeError:
        os._exit(3)  # nobody listens any more


def tell_past(steps: Past) -> None:
    """Tell the figures of the steps that a checkpoint has behind it again: a worker that was killed
    may not have written the last of them.
    """
    if steps:
        told = [{"step": step, "metrics": _finite(metrics)} for step, metrics in steps]
        emit("past", steps=told)


def log(text: str) -> None:
    """A line for the job's log."""
    emit("log", text=text)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _died(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    traceback.print_exception(kind, error, trace)
    emit("error", text=sentence(error))


def sentence(error: BaseException) -> str:
    """What a person should do about `error`, in one sentence."""
    text = str(error)
    if isinstance(error, Stop):
        return text
    if isinstance(error, KeyboardInterrupt):
        return (
            "The trainer was interrupted: start the job again and it goes on from its last "
            "checkpoint."
        )
    if _out_of_memory(error, text):
        return (
            "The machine ran out of memory: lower the batch or the longest length, or train an "
            "adapter."
        )
    if _disk_full(error, text):
        return (
            "The disk is full: free some space, then start the job again; it goes on from its last "
            "checkpoint."
        )
    first = text.strip().splitlines()[0][:200] if text.strip() else "no message"
    return (
        f"The trainer failed ({type(error).__name__}: {first}): the end of the job's log says "
        "where."
    )


def _out_of_memory(error: BaseException, text: str) -> bool:
    named = (
        type(error).__name__ in ("OutOfMemoryError", "AcceleratorError")
        and "out of memory" in text.lower()
    )
    return (
        named
        or isinstance(error, MemoryError)
        or "can't allocate memory" in text
        or "CUDA out of memory" in text
    )


def _disk_full(error: BaseException, text: str) -> bool:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    # safetensors and torch.save report a failed write in errors of their own
    return full or "No space left on device" in text or "PytorchStreamWriter failed writing" in text
