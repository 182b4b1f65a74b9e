"""A file as a response: with ranges and an ETag, and only a few large ones at once."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

from labeling.exports import downloads
from labeling.exports.formats import CONTENT_TYPES
from modelops import datasets, rendered
from modelops.models import Dataset
from modelops.recipes import RenderRecipe

LARGE = 64 * 2**20  # bytes; smaller files are gone in a moment
AT_ONCE = 2


class Busy(Exception):
    """All places for large downloads are taken."""


def answer(request: HttpRequest, dataset: Dataset, recipe: RenderRecipe) -> HttpResponseBase:
    """The file, or the range of it that is asked for; or a redirect to it in the store, where the
    operator wants that. Raises Busy, datasets.Withheld or store.StoreFault.
    """
    if settings.SIGNED_DOWNLOADS and (address := signed(request, dataset, recipe)):
        headers = {"Cache-Control": "private, no-store"}
        return HttpResponseRedirect(address, headers=headers)
    file, place = downloads.make(dataset, recipe), None
    if is_large(file) and request.method != "HEAD" and (place := slot()) is None:
        raise Busy
    name, content_type = downloads.name_of(dataset, recipe), CONTENT_TYPES[recipe.file]
    version = downloads.path(dataset, recipe).stem  # the same on all hosts
    return served(request, file, version, name, content_type, place)


def signed(request: HttpRequest, dataset: Dataset, recipe: RenderRecipe) -> str | None:
    """The address of the file in the store, where it is brought unless it is there."""
    datasets.refuse_withdrawn(dataset)
    file, if_range = downloads.path(dataset, recipe), request.headers.get("If-Range")
    method = "HEAD" if request.method == "HEAD" else "GET"
    if address := rendered.signed(dataset, file, method, if_range):
        return address
    downloads.make(dataset, recipe)
    downloads.keep(dataset, recipe)
    return rendered.signed(dataset, file, method, if_range)


def served(
    request: HttpRequest,
    file: Path,
    version: str,
    name: str,
    content_type: str,
    slot: IO[str] | None = None,
) -> FileResponse:
    """The file, or the range of it that is asked for. Already as compressed as it is to be, or
    ranges would not fit.
    """
    etag = f'"{version}-{file.stat().st_size:x}"'
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
