"""Files that have done their work are deleted: uploads, and what was made for downloads."""

import shutil
from pathlib import Path

from django.conf import settings

from labeling.imports import kept, uploads
from modelops.models import Job
from people.retention import long_ago


def forget() -> None:
    """Delete uploads that no waiting or running job reads, what checks have kept of them, rendered
    files, and models that were never pulled whole, once they are old enough.

    A rendered file is made again, byte for byte, when somebody asks for it.
    """
    awaited = _awaited()
    for upload in _old(settings.VAR / "uploads", "*"):
        # what an import left out lies beside it, under a longer name
        if not upload.name.startswith(awaited):
            uploads.discard(upload)
    for checked in _old(settings.VAR / kept.FOLDER, "*"):
        checked.unlink()
    for unfinished in _old(settings.VAR / "models", ".pull-*"):
        shutil.rmtree(unfinished)
    for made in _old(settings.VAR / "renders", "*/*"):
        uploads.discard(made)  # a folder is what a killed comparison has left


def _awaited() -> tuple[str, ...]:
    """The names of the uploads that jobs wait for."""
    live = Job.objects.filter(kind=Job.Kind.IMPORT, state__in=[Job.State.QUEUED, Job.State.RUNNING])
    return tuple(
        Path(recipe["path"]).name
        for recipe in live.values_list("recipe", flat=True)
        if recipe.get("path")
    )


def _old(folder: Path, pattern: str) -> list[Path]:
    limit = long_ago().timestamp()
    return [path for path in folder.glob(pattern) if path.stat().st_mtime < limit]
