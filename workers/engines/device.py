"""Where a model runs, and in which number format. Shared by the engines and the trainers."""

from __future__ import annotations

from pathlib import Path

import torch

# Without one of these a CPU emulates bfloat16: a backward pass was measured 20 times slower than in float32.
BF16_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}


def best_device() -> torch.device:
    """The first CUDA device, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def best_dtype(device: torch.device | None = None) -> torch.dtype:
    """bfloat16 where `device` (default: best_device()) computes in it, float32 anywhere else."""
    device = device or best_device()
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = bool(BF16_CPU_FLAGS & cpu_flags())
    return torch.bfloat16 if fast else torch.float32


def cpu_flags(path: str = "/proc/cpuinfo") -> set[str]:
    """The features Linux lists for the first processor; none on other systems."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split(":")[1].split()) for line in lines if line.startswith("flags")), set())
