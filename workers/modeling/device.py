"""Where a model runs, and in which number format. Shared by the engines and the trainers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

# Without one of these a CPU emulates bfloat16: a backward pass was measured 20 times slower than in
# float32.
BF16_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}
NAMED = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def best_device() -> torch.device:
    """This process's CUDA device, or the CPU. Of processes that train together, each has its own
    (LOCAL_RANK).
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    rank = os.environ.get("LOCAL_RANK")
    return torch.device("cuda", torch.cuda.current_device() if rank is None else int(rank))


def use(number: int) -> None:
    """From now on, this process's CUDA device is that one of those that it sees."""
    if torch.cuda.is_available():
        torch.cuda.set_device(number)


def best_dtype(device: torch.device | None = None, asked: str = "auto") -> torch.dtype:
    """The number format to compute in on `device` (default: best_device()).

    A name of NAMED is taken as it is. "auto" is what the environment variable PODIUM_DTYPE names,
    and where that is "auto" too, or not set: bfloat16 where the device computes in it, float32
    anywhere else. Raises ValueError for any other name.
    """
    if asked == "auto":
        # Read here and not in the settings: trainers are processes that know no Django.
        asked = os.environ.get("PODIUM_DTYPE", "auto")
    if asked == "auto":
        return torch.bfloat16 if computes_in_bfloat16(device or best_device()) else torch.float32
    if asked not in NAMED:
        raise ValueError(f"PODIUM_DTYPE: {asked} is none of auto, {', '.join(NAMED)}")
    return NAMED[asked]


@contextmanager
def computing_in(name: str) -> Iterator[None]:
    """Meanwhile "auto" means the number format `name`, one of NAMED."""
    before = os.environ.get("PODIUM_DTYPE")
    os.environ["PODIUM_DTYPE"] = name
    try:
        yield
    finally:
        os.environ.pop("PODIUM_DTYPE")
        if before is not None:
            os.environ["PODIUM_DTYPE"] = before


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether `device` has instructions for bfloat16, and does not emulate it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(BF16_CPU_FLAGS & cpu_flags())


def autocast(device: torch.device) -> torch.autocast:
    """A context in which matrix products on `device` are computed in best_dtype(); float32 changes
    nothing.
    """
    dtype = best_dtype(device)
    lower = dtype != torch.float32
    return torch.autocast(device.type, dtype if lower else torch.bfloat16, enabled=lower)


def cpu_flags(path: str = "/proc/cpuinfo") -> set[str]:
    """The features Linux lists for the first processor; none on other systems."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return set()
    flags = (line for line in lines if line.startswith("flags"))
    return next((set(line.split(":")[1].split()) for line in flags), set())
