"""How record.py, and later the test, look at an installation: as each person, at any address."""

from __future__ import annotations

import gzip
import hashlib
import html
import io
import json
import lzma
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from django.test import Client

from people.models import User

SLUG = "harbour"
ROLES = {
    "administrator": "root@harbour.example",
    "admin": "carol@harbour.example",
    "lead": "lea@harbour.example",
    "researcher": "rita@harbour.example",
    "labeler": "alice@harbour.example",
    "stranger": "sam@harbour.example",
    "visitor": "",
}
STORED = Path(__file__).parent / "stored"


def recorded(name: str) -> Any:
    """What was stored under this name."""
    return json.loads(lzma.decompress((STORED / f"{name}.json.xz").read_bytes()))


def browser(role: str) -> Client:
    """A browser in which the person of this role is logged in."""
    client = Client()
    if ROLES[role]:
        client.force_login(User.objects.get(email=ROLES[role]), backend="people.sessions.Accounts")
    return client


def page(client: Client, address: str) -> tuple[int, bytes]:
    """Status and content of a page, wherever its address leads by now."""
    response = client.get(address, follow=True)
    return response.status_code, b"".join(response)


def text_of(content: bytes) -> str:
    """What a page says, with its markup; characters that HTML writes as entities are themselves."""
    return html.unescape(content.decode(errors="replace"))


def answer(token: str, address: str) -> tuple[int, Any]:
    """Status of an endpoint and its JSON, or how long its other content is."""
    response = Client().get(address, headers={"authorization": f"Bearer {token}"})
    content = b"".join(response)
    if response.headers.get("Content-Type") == "application/json":
        return response.status_code, json.loads(content)
    return response.status_code, len(content)


def alike(first: Any, second: Any) -> Any:
    """What two answers have in common; where they differ it holds the text `...`."""
    if isinstance(first, dict) and isinstance(second, dict):
        return {key: alike(first[key], second[key]) for key in first if key in second}
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return [alike(*pair) for pair in zip(first, second)]
    return first if first == second else "..."


# What a version offers: a later one may offer more, in any place between.
OFFERED = ("recipes", "settings", "choices", "formats", "options", "files")


def lost(before: Any, now: Any, place: str = "") -> list[str]:
    """What an answer held before and does not hold now; it may hold other things too."""
    if before == "...":
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        missing = [f"{place}.{key} is gone" for key in before if key not in now]
        for key in before:
            if key in now:
                missing += lost(before[key], now[key], f"{place}.{key}")
        return missing
    if place.endswith(OFFERED) and isinstance(before, list) and isinstance(now, list):
        following = iter(now)
        return [
            f"{place} lacks {item!r}"
            for item in before
            if all(lost(item, other) for other in following)
        ]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        missing = []
        for number, pair in enumerate(zip(before, now)):
            missing += lost(*pair, f"{place}[{number}]")
        return missing
    return [] if before == now else [f"{place} was {before!r}, is {now!r}"]


def digests(name: str, content: bytes) -> dict[str, str]:
    """sha256 of what a downloaded file says, by the names of the files in it.

    Of text the bytes count. How a file is compressed, and how Parquet writes its columns, other
    packages choose: there the bytes inside count, or the rows.
    """
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            return {
                inner: digests(inner, packed.read(inner))[inner]
                for inner in sorted(packed.namelist())
            }
    if name.endswith(".gz"):
        content = gzip.decompress(content)
    if name.endswith(".zst"):
        content = pyarrow.input_stream(io.BytesIO(content), compression="zstd").read()
    if name.endswith(".parquet"):
        content = lines(pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist())
    return {name: hashlib.sha256(content).hexdigest()}


def lines(rows: Iterable[dict]) -> bytes:
    return "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows).encode()
