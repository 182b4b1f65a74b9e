"""A frozen dataset goes to the Hub: the folder with its card that `datasets.load_dataset` opens."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from contextlib import ExitStack

from django.utils.translation import gettext as _

from labeling.exports import downloads
from modelops import datasets, hub, recipes
from modelops.jobs import JobFailed
from modelops.models import Job
from modelops.progress import Transfer
from people import audit

FOLDERS = ("examples/", "rows/", "plots/")  # of a dataset, which nobody else writes to


def run(job: Job) -> None:
    """Run a job that pushes a dataset. Raises JobFailed, datasets.Withheld, and what a beat raises.
    Done again, it sends no file that has arrived.
    """
    datasets.refuse_withdrawn(job.dataset)
    assert job.dataset is not None  # it would have been refused
    recipe, dataset = recipes.read(job.kind, job.recipe), job.dataset
    try:
        folder = downloads.choose(dataset, "folder")
    except downloads.NotOffered as error:
        raise JobFailed(str(error)) from error
    repository = hub.open_for_upload(recipe.repo, recipe.private)
    made = downloads.make(dataset, folder, downloads.progress_of(job, dataset, folder).watch)
    with ExitStack() as opened:
        archive = opened.enter_context(zipfile.ZipFile(made))
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        total = sum(entry.file_size for entry in entries)
        files = {entry.filename: opened.enter_context(archive.open(entry)) for entry in entries}
        transfer = Transfer(job, total)
        transfer.begin(recipe.repo)
        message = _("Dataset %(short)s of Podium") % {"short": dataset.short}
        commit, address = hub.upload(
            recipe.repo, files, _left(repository, files), message, transfer
        )
    about = {"repo": recipe.repo, "commit": commit, "private": repository.private}
    audit.record(job.requested_by, "push dataset", dataset, job.project, **about)
    job.result = about | {"address": address, "files": len(entries), "bytes": total}


def _left(repository: hub.Repository, files: Iterable[str]) -> list[str]:
    """Files of an earlier push that this one lacks: they may hold rows that were withdrawn."""
    there = [file.path for file in repository.files if file.path.startswith(FOLDERS)]
    return sorted(set(there) - set(files))
