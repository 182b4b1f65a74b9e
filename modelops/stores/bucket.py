"""A store in a bucket of an S3-compatible server, through obstore.

obstore is one wheel without dependencies; it signs, retries, and sends and reads parts in parallel
outside of Python. Keys, region and endpoint come from the usual variables (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL), which it reads itself.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from django.utils.translation import gettext as _
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from modelops.hashing import Watch, add_file
from modelops.stores import Damaged, Full, Gone, Unreachable, disk_in_words
from modelops.stores.folder import COMPLETE, DATA
from modelops.stores.listing import Listing, files_of

PART = 16 * 2**20  # bytes of a request; S3 takes up to 10,000 of them for a file
AT_ONCE = 4  # requests
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
CONNECT, REQUEST = timedelta(seconds=3), timedelta(seconds=60)
LIFETIME = timedelta(minutes=5)  # of a signed address: a download has to begin by then
# What a server without room answers: its status, or the code in its XML.
FULL = ("status: 507", "<Code>InsufficientStorage", "StorageFull</Code>", "<Code>QuotaExceeded")


class Bucket:
    """`endpoint`: the address of the server, where it is not that of the usual variables."""

    def __init__(self, address: str, endpoint: str = ""):
        bucket, _slash, prefix = address.removeprefix("s3://").partition("/")
        named = [os.environ[name] for name in ENDPOINTS if name in os.environ]
        endpoint = endpoint or (named[0] if named else "https://")
        if not all(re.match("https?://.", address) for address in named):
            raise Unreachable(
                _("AWS_ENDPOINT_URL is no address like https://s3.example: correct or unset it.")
            )
        self.client = S3Store(
            bucket,
            prefix=prefix.strip("/") or None,
            endpoint=endpoint if endpoint != "https://" else None,
            unsigned_payload=True,  # what arrives is hashed anyway
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": CONNECT,
                "timeout": REQUEST,
            },
            retry_config={"max_retries": 3, "retry_timeout": REQUEST},
        )

    def listing(self, digest: str) -> Listing | None:
        """What is stored under the digest; None unless it is complete. Raises Damaged or
        Unreachable.
        """
        try:
            with _in_words():
                content = bytes(obstore.get(self.client, f"{digest}/{COMPLETE}").bytes())
        except FileNotFoundError:
            return None
        return Listing.from_json(content, digest)

    def put(self, path: Path, listing: Listing, watch: Watch, content_type: str = "") -> None:
        """Send what lies there, the list of its files last. A file that an earlier call has sent
        whole is not sent again. `content_type`: what its files are sent as from a signed address.
        """
        sent = {meta["path"]: meta["size"] for meta in self._objects(f"{listing.digest}/")}
        for name, file in files_of(path).items():
            key = _key(listing.digest, name)
            if sent.get(key) != listing.files[name][0]:
                with _in_words(), open(file, "rb") as content:
                    obstore.put(
                        self.client,
                        key,
                        _blocks(content, watch),
                        attributes=_sent_as(name, content_type),
                        chunk_size=PART,
                        max_concurrency=AT_ONCE,
                    )
        self.renew(listing)

    def renew(self, listing: Listing) -> None:
        """Write the list of its files, which makes it complete, and new."""
        with _in_words():
            obstore.put(self.client, f"{listing.digest}/{COMPLETE}", listing.as_json())

    def fetch(self, listing: Listing, to: Path, watch: Watch) -> None:
        """Bring the files to `to`, each compared with its hash. A call that was cut off is gone on
        with. Raises Gone, Damaged, Full or Unreachable.
        """
        for name, (size, sha256) in listing.files.items():
            file = to / name if name else to
            file.parent.mkdir(parents=True, exist_ok=True)
            self._fetch_file(_key(listing.digest, name), file, size, sha256, watch)
        if listing.is_folder:
            to.mkdir(parents=True, exist_ok=True)

    def _fetch_file(self, key: str, file: Path, size: int, sha256: str, watch: Watch) -> None:
        """While it is fetched the file has its whole length, and holes; what a break leaves ends
        before the first hole.
        """
        sha = hashlib.sha256()
        file.touch()
        with disk_in_words(), open(file, "r+b") as out:
            out.truncate(_before_holes(out.fileno(), size))
            here = done = out.seek(0, os.SEEK_END)
            add_file(sha, file, watch)
            out.truncate(size)
            try:
                with closing(self._parts(key, here, size, out.fileno())) as parts:
                    for part in parts:
                        sha.update(part)
                        done += len(part)
                        watch(len(part))
            except BaseException:
                out.truncate(done)
                raise
        if sha.hexdigest() == sha256:
            return
        file.unlink()
        if here:  # what an earlier call has left was changed
            self._fetch_file(key, file, size, sha256, watch)
            return
        raise Damaged(
            _("%(file)s in the store is not what was stored: restore it from a backup.")
            % {"file": file.name}
        )

    def _parts(self, key: str, start: int, end: int, descriptor: int) -> Generator[Any]:
        """The bytes of an object from `start` to `end`, some requests ahead of who reads them. Each
        is written to its place in the file as it arrives: this takes as long as hashing them.
        """

        def part(first: int) -> Any:
            last = min(first + PART, end)
            with _in_words():
                if (first, last) == (0, end):  # some servers take this for no range at all
                    content: Any = obstore.get(self.client, key).bytes()
                else:
                    content = obstore.get_range(self.client, key, start=first, end=last)
            _write_at(descriptor, content, first)
            return content

        firsts = iter(range(start, end, PART))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            ahead = deque(pool.submit(part, first) for _n, first in zip(range(AT_ONCE), firsts))
            while ahead:
                try:
                    yield ahead.popleft().result()
                except FileNotFoundError:
                    raise _gone() from None
                if (first := next(firsts, None)) is not None:
                    ahead.append(pool.submit(part, first))

    def signed(self, digest: str, name: str, method: str) -> str:
        """An address of the file that is good for LIFETIME, for requests with this method."""
        with _in_words():
            return obstore.sign(self.client, method, _key(digest, name), LIFETIME)

    def etag(self, digest: str, name: str) -> str:
        """Raises Gone or Unreachable."""
        try:
            with _in_words():
                return obstore.head(self.client, _key(digest, name))["e_tag"] or ""
        except FileNotFoundError:
            raise _gone() from None

    def delete(self, digest: str) -> None:
        """The list of its files goes first: what a break leaves of it is incomplete."""
        with _in_words():
            paths = [meta["path"] for meta in self._objects(f"{digest}/")]
            for path in sorted(paths, key=lambda path: not path.endswith(f"/{COMPLETE}")):
                obstore.delete(self.client, path)

    def entries(self) -> Iterator[tuple[str, float, int]]:
        """(digest, when it was stored as a timestamp, bytes) of all that lies there, also of what
        is incomplete.
        """
        stored_at: dict[str, float] = {}
        sizes: dict[str, int] = {}
        for meta in self._objects(""):
            digest = meta["path"].partition("/")[0]
            modified = meta["last_modified"].timestamp()
            stored_at[digest] = max(modified, stored_at.get(digest, 0))
            sizes[digest] = sizes.get(digest, 0) + meta["size"]
        for digest in sorted(sizes):
            yield digest, stored_at[digest], sizes[digest]

    def _objects(self, prefix: str) -> Iterator[Any]:
        with _in_words():
            for page in obstore.list(self.client, prefix or None):
                yield from page


def _key(digest: str, name: str) -> str:
    return f"{digest}/{DATA}/{name}" if name else f"{digest}/{DATA}"


def _write_at(descriptor: int, content: Any, place: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(descriptor, rest, place)
        rest, place = rest[written:], place + written


def _before_holes(descriptor: int, size: int) -> int:
    """How much of a file was fetched in one piece. One that has its whole length may have holes:
    its process was killed, perhaps in the middle of a write.
    """
    length = os.fstat(descriptor).st_size
    if length < size:
        return length
    hole = os.lseek(descriptor, 0, os.SEEK_HOLE) if size else 0
    return size if hole >= size else max(0, hole - PART)


def _sent_as(name: str, content_type: str) -> dict[str, str]:
    """The headers of a download: obstore signs no address that names them."""
    if not content_type:
        return {}
    shown_as = name.rpartition("/")[2]
    return {
        "Content-Type": content_type,
        "Content-Disposition": f'attachment; filename="{shown_as}"',
    }


def _gone() -> Gone:
    return Gone(_("A file is missing in the store: restore it from a backup."))


def _blocks(content: Any, watch: Watch) -> Iterator[bytes]:
    while block := content.read(PART):
        yield block
        watch(0)


@contextmanager
def _in_words() -> Iterator[None]:
    """Raises Full or Unreachable for what the server says. Its own words may hold addresses and
    keys: they are kept as the cause, and not shown.
    """
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" not in str(error):
            raise
        raise Unreachable(_("The store has no such bucket: check PODIUM_STORE.")) from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise Unreachable(
            _("The store refuses this host: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
        ) from error
    except BaseError as error:
        if any(word in str(error) for word in FULL):
            raise Full(_("The store is full: make room there, then try again.")) from error
        raise Unreachable(
            _("The store can't be reached: check PODIUM_STORE and AWS_ENDPOINT_URL, or try again.")
        ) from error
