"""Which devices this host has, and who computes on them: one torch process a device, or all of them
crawl.

A device is a GPU. A host without one has a single device, the processor as a whole. Each device has
a lock file, which a process holds as long as it computes there. A queue that waits for devices
leaves a note beside the locks, so that who has waited longest comes next, whichever queue that is.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

CPU = "cpu"
ALL = "all"


@dataclass(frozen=True)
class Held:
    """Devices that this process holds, and the descriptors of their locks.

    A child that inherits the descriptors keeps the locks when this process is killed, until it has
    ended too.
    """

    devices: tuple[str, ...]
    locks: tuple[int, ...]

    def __str__(self) -> str:
        return ",".join(self.devices)


def devices() -> list[str]:
    """The names of the devices that Podium may use here: as in CUDA_VISIBLE_DEVICES, or "cpu"
    alone.
    """
    named = settings.DEVICES
    if named == "auto":
        named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(number) for number in range(gpus())] or [CPU]
    return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")] or [CPU]


@functools.cache
def gpus() -> int:
    """How many GPUs NVIDIA's driver has, 0 without the driver: asked of its library, since torch is
    not to be loaded.
    """
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return 0
    count = ctypes.c_uint(0)
    if nvml.nvmlInit_v2() == 0:
        nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
        nvml.nvmlShutdown()
    return count.value


def wanted(asked: str) -> int:
    """How many devices a recipe's `devices` means on this host."""
    return len(devices()) if asked == ALL else int(asked)


def environment(names: list[str]) -> dict[str, str]:
    """What makes a process see exactly these devices, once torch is imported in it."""
    gpus_alone = [name for name in names if name != CPU]
    order = os.environ.get(
        "CUDA_DEVICE_ORDER", "PCI_BUS_ID"
    )  # the order of gpus(); CUDA's own is by speed
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus_alone), "CUDA_DEVICE_ORDER": order}


@contextmanager
def held(count: int) -> Iterator[Held | None]:
    """`count` free devices, all of them or, where fewer are free, None."""
    with ExitStack() as files:
        free = []
        for name in devices():
            if len(free) == count:
                break
            file = files.enter_context(open(lock_file(name), "a"))
            if lock(file.fileno()):
                free.append((name, file.fileno()))
        yield Held(*zip(*free)) if len(free) == count else None


def lock(descriptor: int) -> bool:
    """Lock the file unless another process has; whether it is ours now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_file(name: str) -> Path:
    """The processor's lock is the file that is set; a GPU's has its name at the end."""
    settings.MACHINE_LOCK.parent.mkdir(parents=True, exist_ok=True)
    return settings.MACHINE_LOCK if name == CPU else beside(name)


def beside(name: str) -> Path:
    return settings.MACHINE_LOCK.with_name(f"{settings.MACHINE_LOCK.name}-{name.replace('/', '-')}")


# Whose turn it is


def waits(queue: str, priority: int) -> None:
    """Note that this queue has a job that waits for devices; it keeps its place while it goes on
    saying so.
    """
    file = note_file(queue)
    place = place_of(file)
    since = place[1] if place else time.time()
    part = file.with_name(f"{file.name}.{os.getpid()}")
    part.write_text(json.dumps([priority, since]))
    part.replace(file)


def waits_no_more(queue: str) -> None:
    note_file(queue).unlink(missing_ok=True)


def first_in_line(queue: str, priority: int) -> Path | None:
    """The note of another queue that waits for devices and comes before this one; None where it is
    this one's turn.

    The smaller priority is first, then who has waited longer. A note that nobody renews is passed
    over: its workers are gone.
    """
    own = note_file(queue)
    mine = (priority, (place_of(own) or (0, time.time()))[1])
    others = [
        (place_of(file), file)
        for file in own.parent.glob(beside("waits-*-note").name)
        if file != own
    ]
    before = [(place, file) for place, file in others if place and place < mine]
    return min(before)[1] if before else None


def place_of(file: Path) -> tuple[int, float] | None:
    """Priority and beginning of a note that is still renewed."""
    try:
        fresh = time.time() - file.stat().st_mtime < 2 * settings.SWEEP_SECONDS + 5
        return tuple(json.loads(file.read_text())) if fresh else None
    except (OSError, ValueError):
        return None


def note_file(queue: str) -> Path:
    """Of this Podium's queue: several Podiums may share the devices of a host."""
    lock_file(CPU)
    podium = hashlib.sha256(str(settings.VAR).encode()).hexdigest()[:8]
    return beside(f"waits-{podium}-{queue}-note")
