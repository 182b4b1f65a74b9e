"""A real S3-compatible server on this machine, for the tests of the store: SeaweedFS."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import obstore
import pytest
from obstore.store import S3Store

KEY, SECRET, BUCKET = "podium", "secret-of-the-tests", "tests"
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


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    """The address of the server."""
    if (weed := program()) is None:
        pytest.skip("there is no S3 server: pip install -r requirements-dev.txt")
    folder, port = tmp_path_factory.mktemp("s3"), dict(zip(PORTS, free_pairs()))
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "keys.json").write_text(json.dumps({"identities": [identity]}))
    options = {
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "s3.config": folder / "keys.json",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "volume.max": 20,
        "master.volumeSizeLimitMB": 64,
        **{f"{name}.port": number for name, number in port.items()},
    }
    command = [weed, "server", "-s3", *(f"-{name}={value}" for name, value in options.items())]
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        wait_for(port["s3"], server)
        yield f"http://127.0.0.1:{port['s3']}"
    finally:
        server.kill()  # it keeps nothing
        server.wait()


def wait_for(port: int, server: subprocess.Popen) -> None:
    for _attempt in range(STARTS_WITHIN * 10):
        assert server.poll() is None, "the server ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")


class Objects:
    """What is in a part of the bucket, as another client of the server reads and writes it."""

    def __init__(self, name: str):
        self.client = S3Store(BUCKET, prefix=name, client_options={"allow_http": True})

    def write(self, key: str, content: bytes) -> None:
        obstore.put(self.client, key, content)

    def read(self, key: str) -> bytes:
        return bytes(obstore.get(self.client, key).bytes())

    def remove(self, key: str) -> None:
        obstore.delete(self.client, key)


@pytest.fixture
def bucket(s3_server, settings, monkeypatch):
    """The store is in a part of the bucket that is the test's own."""
    use(monkeypatch, AWS_ENDPOINT_URL=s3_server)
    name = uuid4().hex
    objects = Objects(name)
    objects.write("of-somebody-else", b"x")  # which makes the bucket
    settings.STORE = f"s3://{BUCKET}/{name}/podium"
    return objects


def use(monkeypatch, **environment: str) -> None:
    known = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}
    for variable, value in (known | environment).items():
        monkeypatch.setenv(variable, value)
