"""The least memory that a model takes, by its files' headers, and what its device has."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

CGROUP = Path("/sys/fs/cgroup/memory.max")
MEMINFO = Path("/proc/meminfo")


class TooLarge(ValueError):
    """A model or a job can't fit its device; the message says by how much, and what would."""


def shapes(folder: str | Path) -> dict[str, list[int]]:
    """The shape of each tensor of a model's safetensors files. Nothing is loaded; an unreadable
    file has none.
    """
    known = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        try:
            with safe_open(path, "pt") as file:
                known |= {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError):
            continue  # loading it says what is wrong
    return known


def parameters(folder: str | Path) -> int:
    """How many weights a model's files hold."""
    return sum(math.prod(shape) for shape in shapes(folder).values())


def available(device: torch.device) -> int:
    """Bytes that are free on a GPU; on a CPU all that its host, or this container, may use."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min(limit for limit in (_host(), _container()) if limit is not None)


def _host() -> int:
    kilobytes = next(
        line for line in MEMINFO.read_text().splitlines() if line.startswith("MemTotal:")
    ).split()[1]
    return int(kilobytes) * 1024


def _container() -> int | None:
    try:
        return int(CGROUP.read_text())
    except (OSError, ValueError):  # "max"
        return None


def refuse_to_sample(folder: str | Path, dtype: torch.dtype, device: torch.device) -> None:
    """Raises TooLarge where a model's weights alone take more than its device has."""
    needed, free = parameters(folder) * dtype.itemsize, available(device)
    if needed <= free:
        return
    smaller = needed * 2 / dtype.itemsize <= free
    hint = "bfloat16 would fit (dtype)" if smaller else "choose a smaller model"
    raise TooLarge(
        f"its weights take {gigabytes(needed)} and the device has {gigabytes(free)} free: {hint}"
    )


def gigabytes(count: float) -> str:
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.3g} MB"
