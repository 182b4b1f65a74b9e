"""A file of a dataset of the Hub becomes an upload: it is downloaded, then checked by a job."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from labeling import imports
from labeling.imports import uploads
from modelops import hub, jobs, recipes, store
from modelops.jobs import JobFailed
from modelops.models import Job
from modelops.progress import Transfer
from modelops.pull import keep

READ = (
    ".jsonl",
    ".ndjson",
    ".json",
    ".csv",
    ".tsv",
    ".parquet",
    ".xlsx",
)  # also with these endings after it
PACKED = (".gz", ".zst", ".zip")
SHOWN = 20


def run(job: Job) -> None:
    """Run a job that pulls a file of a dataset. Raises JobFailed, and what a beat raises."""
    if "import_job" in job.result:  # an earlier attempt asked for the check, and was then killed
        return
    recipe = recipes.read(job.kind, job.recipe)
    repository = hub.look_up("dataset", recipe.repo, job.result.get("commit") or recipe.revision)
    file = chosen(repository, recipe.file)
    job.result = {
        "repo": repository.id,
        "commit": repository.commit,
        "file": file.path,
        "bytes": file.size,
    }
    keep(job)
    path = uploads.place(f"hub-{job.pk}")
    hub.refuse_too_large([(file, path)])
    transfer = Transfer(job, file.size)
    hub.download(repository, file, path, transfer)
    transfer.finish()
    check = {
        "path": str(path.relative_to(settings.VAR)),
        "stored": store.put(path, transfer.alive),
        **imports.proposed(path),
        "filename": file.name,
        "dry_run": True,
    }
    with transaction.atomic():
        checking = jobs.request(job.requested_by, job.project, Job.Kind.IMPORT, check)
        job.result = job.result | {"import_job": checking.pk}
        keep(job)


def chosen(repository: hub.Repository, path: str) -> hub.File:
    """The file of that path, or the only one that can be imported. Raises JobFailed."""
    readable = [file for file in repository.files if is_readable(file.name)]
    wanted = [file for file in repository.files if file.path == path] if path else readable
    if len(wanted) == 1:
        return wanted[0]
    about = {"repo": repository.id, "path": path, "files": _listed(readable)}
    if path:
        raise JobFailed(_("%(repo)s has no file %(path)s. It has: %(files)s.") % about)
    if not readable:
        raise JobFailed(_("%(repo)s has no file that can be imported.") % about)
    raise JobFailed(_("%(repo)s has several files; name one: %(files)s.") % about)


def is_readable(name: str) -> bool:
    for ending in PACKED:
        name = name.lower().removesuffix(ending)
    return name.endswith(READ)


def _listed(files: list[hub.File]) -> str:
    names = [file.path for file in files[:SHOWN]]
    if len(files) > SHOWN:
        names.append(_("and %(n)d more") % {"n": len(files) - SHOWN})
    return ", ".join(names) or _("none that can be imported")
