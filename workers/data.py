"""Jobs on rows: imports and frozen datasets."""

from django.conf import settings

from labeling import export, imports
from modelops import jobs
from modelops.models import Job


def run(job: Job) -> None:
    """Run an import or freeze job. Raises JobFailed with what to do."""
    try:
        RUN[job.kind](job)
    except (imports.BadFile, export.NothingToFreeze) as error:
        raise jobs.JobFailed(str(error)) from error
    except FileNotFoundError as error:
        raise jobs.JobFailed(f"{error.filename} is gone: upload it again.") from error


def run_import(job: Job) -> None:
    result = imports.run(job, settings.VAR / job.recipe["path"], beat=lambda done: jobs.beat(job, done=done))
    job.result = vars(result)


def freeze(job: Job) -> None:
    if job.recipe["kind"] == "demonstrations":
        dataset = export.freeze_demonstrations(job)
    else:
        dataset = export.freeze(job, beat=lambda done: jobs.beat(job, done=done))
    job.result = {"dataset": dataset.pk, "rows": dataset.counts["rows"], "pairs": dataset.counts["pairs"]}


RUN = {Job.Kind.IMPORT: run_import, Job.Kind.FREEZE: freeze}
