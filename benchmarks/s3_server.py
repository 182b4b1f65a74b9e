"""A real S3-compatible server on this machine: SeaweedFS, of requirements-dev.txt."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEY, SECRET = "podium", "not-secret"
STARTS_WITHIN = 120  # seconds
PORTS = ("master", "volume", "filer", "s3")


def program() -> str | None:
    """The server of requirements-dev.txt, or of the system."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def free_pairs() -> Iterator[int]:
    """Ports that are free, and so is each one's with 10,000 more: the server takes both."""
    for port in range(20_000 + os.getpid() % 4_000, 30_000, 7):
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
        yield port


@contextmanager
def serving(folder: Path, weed: str, volume_mb: int = 64, ip: str = "127.0.0.1") -> Iterator[str]:
    """The address of a server that keeps its files in the folder until the body ends."""
    port = dict(zip(PORTS, free_pairs()))
    identity = {
        "name": "podium",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "keys.json").write_text(json.dumps({"identities": [identity]}))
    options = {
        "dir": folder,
        "ip": ip,
        "ip.bind": ip,
        "s3.config": folder / "keys.json",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "volume.max": 20,
        "master.volumeSizeLimitMB": volume_mb,
        **{f"{name}.port": number for name, number in port.items()},
    }
    command = [weed, "server", "-s3", *(f"-{name}={value}" for name, value in options.items())]
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        wait_for(ip, port["s3"], server)
        yield f"http://{ip}:{port['s3']}"
    finally:
        server.kill()  # it keeps nothing
        server.wait()


def wait_for(ip: str, port: int, server: subprocess.Popen) -> None:
    for _attempt in range(STARTS_WITHIN * 10):
        assert server.poll() is None, "the server ended"
        try:
            socket.create_connection((ip, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")


def environment(address: str) -> dict[str, str]:
    """The variables by which a client finds the server."""
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": address,
    }
