"""Files made of a dataset: downloads, and how it differs from another one. They lie on the host
that made them and, where other hosts may ask for them, in the store.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from modelops import store
from modelops.models import Dataset, RenderedFile
from modelops.stores import trees
from modelops.stores.listing import Listing
from people.retention import long_ago


def is_made(dataset: Dataset, file: Path) -> bool:
    """Whether the file is on this host, or in the store. Raises store.StoreFault."""
    return file.exists() or _listing(dataset, file) is not None


def find(dataset: Dataset, file: Path) -> Path | None:
    """The file on this host: as it was made here, or out of the store. Raises store.StoreFault."""
    if file.exists():
        return file
    listing = _listing(dataset, file)
    if listing is None:
        return None
    try:
        [name] = listing.files
        return store.get(listing.digest) / name
    except (store.Gone, store.Damaged):
        return None


def keep(dataset: Dataset, file: Path, name: str, content_type: str = "") -> None:
    """Bring the file into the store, where it is called `name`, unless it is there or the operator
    has named no store that other hosts may see. Raises store.StoreFault.
    """
    if not settings.STORE or _listing(dataset, file) is not None:
        return
    scratch = Path(tempfile.mkdtemp(dir=file.parent, prefix=".new-"))
    try:
        trees.copy(file, scratch / name, links=True)
        digest = store.put(scratch, content_type=content_type)
    finally:
        shutil.rmtree(scratch)
    if not _note(dataset, file, digest):
        store.delete(digest)


@transaction.atomic
def _note(dataset: Dataset, file: Path, digest: str) -> bool:
    """Refer to it, unless the dataset was withdrawn meanwhile."""
    held = Dataset.objects.select_for_update().filter(pk=dataset.pk, withdrawn_at=None).first()
    if held is not None:
        RenderedFile.objects.filter(dataset=held, name=file.name).delete()
        RenderedFile.objects.create(dataset=held, name=file.name, stored=digest)
    return held is not None


def signed(dataset: Dataset, file: Path, method: str, if_range: str | None) -> str | None:
    """A signed address of the file in the bucket, for a request with this method; None unless it
    is there. Raises store.StoreFault.

    Some servers ignore If-Range: who asks for the rest of another file gets no address either.
    """
    listing = _listing(dataset, file)
    if listing is None:
        return None
    [name] = listing.files
    if if_range and if_range != store.etag(listing.digest, name):
        return None
    return store.signed(listing.digest, name, method)


def forget(dataset: Dataset) -> list[str]:
    """Delete the rows of what was made of the dataset; returns what the store holds of it, which
    remove() deletes.
    """
    files = RenderedFile.objects.filter(dataset=dataset)
    digests = list(files.values_list("stored", flat=True))
    files.delete()
    return digests


def remove(digests: list[str]) -> None:
    """Delete them from the store, but what was made of other datasets too. Raises
    store.StoreFault.
    """
    files = RenderedFile.objects.filter(stored__in=digests)
    others = set(files.values_list("stored", flat=True))
    for digest in sorted(set(digests) - others):
        store.delete(digest)


def outdated() -> QuerySet[RenderedFile]:
    """What is made again when somebody asks for it."""
    return RenderedFile.objects.filter(made_at__lt=long_ago())


def _listing(dataset: Dataset, file: Path) -> Listing | None:
    """What the store holds of it, if it is there and whole."""
    made = RenderedFile.objects.filter(dataset=dataset, name=file.name).first()
    if made is None:
        return None
    try:
        return store.listing(made.stored)
    except (store.Gone, store.Damaged):
        return None
