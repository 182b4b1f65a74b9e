"""A file as a response: with ranges and an ETag, and only a few large ones at once."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from django.conf import settings
from django.http import FileResponse, HttpRequest
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

LARGE = 64 * 2**20  # bytes; smaller files are gone in a moment
AT_ONCE = 2


def served(
    request: HttpRequest, file: Path, name: str, content_type: str, slot: IO[str] | None = None
) -> FileResponse:
    """The file, or the range of it that is asked for. Already as compressed as it is to be, or
    ranges would not fit.
    """
    etag = f'"{file.stem}-{file.stat().st_size:x}"'
    headers = {
        "Content-Type": content_type,
        "Content-Disposition": f'attachment; filename="{name}"',
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "Accept-Ranges": "bytes",
        "Content-Encoding": "identity",
    }
    if request.META.get("HTTP_IF_RANGE", etag) != etag:
        request.META.pop("HTTP_RANGE", None)
    response: FileResponse = WhiteNoiseMiddleware.serve(
        StaticFile(str(file), list(headers.items())), request
    )
    if slot:
        closers = response._resource_closers  # type: ignore[attr-defined]  # not in the stubs
        closers.append(slot.close)
    return response


def is_large(file: Path) -> bool:
    """Whether it is on its way for so long that only few at once may be."""
    return file.stat().st_size > LARGE


def slot() -> IO[str] | None:
    """A place among the large downloads of this machine, until it is closed; None while all are
    taken.
    """
    folder = settings.VAR / "renders"
    for number in range(AT_ONCE):
        place = (folder / f".large-{number}").open("a")  # until the download ends
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return place
        except BlockingIOError:
            place.close()
    return None
