"""Files that have done their work are deleted: uploads, what was made for downloads, what killed
processes have left, and what is in the store and no row refers to.
"""

import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.db.models import Q
from django.utils.timezone import now

from labeling import imports
from labeling.imports import kept
from modelops import hosts, rendered, store
from modelops.kinds import KEPT_CHECKPOINT
from modelops.models import Dataset, Job, ModelVersion, RenderedFile
from modelops.stores import trees
from people.retention import delete, long_ago

# What processes name their scratch folders: theirs end with them, those of killed ones stay
SCRATCH = (
    ".rows-*",
    ".reading-*",
    ".restore-*",
    "datasets/.sort-*",
    "datasets/.new-*",
    f"uploads/{trees.ARRIVING}*",
)
LIVE = (Job.State.QUEUED, Job.State.RUNNING)
CHECKPOINT_STORED = f"result__{KEPT_CHECKPOINT}__stored"
A_DAY = timedelta(days=1)


def forget() -> None:
    """Delete uploads that no waiting or running job reads, what checks have kept of them, rendered
    files, models that were never pulled whole, and rows of workers that are gone, once they are
    old enough.

    A rendered file is made again, byte for byte, when somebody asks for it.
    """
    awaited = _awaited()
    for upload in _old(settings.VAR / "uploads", "*"):
        # what an import left out lies beside it, under a longer name
        if not upload.name.startswith(awaited):
            trees.remove(upload)
    for checked in _old(settings.VAR / kept.FOLDER, "*"):
        checked.unlink()
    for unfinished in _old(settings.VAR / "models", ".pull-*"):
        shutil.rmtree(unfinished)
    delete(rendered.outdated())
    delete(hosts.outdated())
    for made in _old(settings.VAR / "renders", "*/*"):
        trees.remove(made)  # a folder is what a killed comparison has left
    yesterday = (now() - A_DAY).timestamp()
    for pattern in SCRATCH:
        for left in _older(settings.VAR, pattern, yesterday):
            if not any(file.stat().st_mtime > yesterday for file in left.rglob("*")):
                trees.remove(left)
    _forget_runs()


def _forget_runs() -> None:
    """Delete the checkpoints of trainings that have failed or were cancelled long ago: a resumed
    one would begin anew.
    """
    for run in _old(settings.VAR / "runs", "*"):
        number = run.name.partition("-")[0]
        if number.isdecimal() and not _may_go_on(int(number)):
            trees.remove(run)


def _may_go_on(job: int) -> bool:
    recent = Q(state__in=LIVE) | Q(finished_at__gt=long_ago())
    return Job.objects.filter(recent, pk=job).exists()


# The store


class Stored(NamedTuple):
    """Something in the store, when it was stored as a timestamp, and how many bytes it takes."""

    digest: str
    stored_at: float
    size: int


def overdue() -> list[Stored]:
    """What the clean-up deletes: what withdrawn datasets held after a day, and other things that no
    row refers to after KEEP_DAYS, for a database may be restored that refers to them. Raises
    store.StoreFault.
    """
    withdrawn = Dataset.objects.exclude(withdrawn_at=None).values_list("folder", flat=True)
    digests = {store.digest_of(place) for place in withdrawn}
    limit = long_ago().timestamp()
    return [one for one in uncollected() if one.digest in digests or one.stored_at < limit]


def uncollected() -> list[Stored]:
    """What the store holds and no row refers to, stored more than a day ago: a job that is at work
    may be about to refer to what is newer. Raises store.StoreFault.
    """
    yesterday = (now() - A_DAY).timestamp()
    old = [stored for entry in store.entries() if (stored := Stored(*entry)).stored_at < yesterday]
    used = referred() if old else set()  # asked last: a row may be new
    return [stored for stored in old if stored.digest not in used]


def collect(unreferred: Iterable[Stored]) -> list[Stored]:
    """Delete this from the store, but what was stored again meanwhile; returns what was deleted.
    Raises store.StoreFault.
    """
    wanted = set(unreferred)
    unchanged = [
        stored
        for entry in (store.entries() if wanted else ())
        if (stored := Stored(*entry)) in wanted
    ]
    for stored in unchanged:
        store.delete(stored.digest)
    return unchanged


def referred() -> set[str]:
    """The digests that rows refer to: of datasets and what was made of them, model versions,
    checkpoints of trainings, and the uploads and bad rows of imports; of jobs that are at work, or
    were within the time for which uploads are kept.
    """
    places = [
        *Dataset.objects.filter(withdrawn_at=None).values_list("folder", flat=True),
        *ModelVersion.objects.values_list("folder", flat=True),
    ]
    recent = Q(state__in=LIVE) | Q(created_at__gt=long_ago()) | Q(finished_at__gt=long_ago())
    stored = Job.objects.filter(recent).values_list(
        "recipe__stored", f"result__{imports.BAD_ROWS}", CHECKPOINT_STORED
    )
    digests = {digest for of_job in stored for digest in of_job if digest}
    digests |= set(RenderedFile.objects.values_list("stored", flat=True))
    return digests | {digest for place in places if (digest := store.digest_of(place))}


def still_refer(checkpoint: str) -> bool:
    """Does a training that may go on refer to this checkpoint? Two of the same recipe make the
    same.
    """
    may_go_on = Job.objects.exclude(state=Job.State.DONE)
    return may_go_on.filter(**{CHECKPOINT_STORED: checkpoint}).exists()


# Ages


def _awaited() -> tuple[str, ...]:
    """The names of the uploads that jobs wait for."""
    live = Job.objects.filter(kind=Job.Kind.IMPORT, state__in=LIVE)
    return tuple(
        Path(recipe["path"]).name
        for recipe in live.values_list("recipe", flat=True)
        if recipe.get("path")
    )


def _old(folder: Path, pattern: str) -> list[Path]:
    return _older(folder, pattern, long_ago().timestamp())


def _older(folder: Path, pattern: str, limit: float) -> list[Path]:
    return [path for path in folder.glob(pattern) if path.stat().st_mtime < limit]
