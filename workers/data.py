"""Jobs on rows: imports, frozen datasets, and the files that people download."""

from django.conf import settings

from labeling import export, imports, render
from modelops import datasets, jobs, recipes
from modelops.models import Job


def run(job: Job) -> None:
    """Run an import, freeze or render job. Raises JobFailed with what to do."""
    try:
        RUN[job.kind](job)
    except (imports.BadFile, export.NothingToFreeze, datasets.Withheld, recipes.InvalidRecipe) as error:
        raise jobs.JobFailed(str(error)) from error
    except FileNotFoundError as error:
        raise jobs.JobFailed(f"{error.filename} is gone: upload it again.") from error


def run_import(job: Job) -> None:
    result = imports.run(
        job, settings.VAR / job.recipe["path"], beat=lambda done, total: jobs.beat(job, done=done, total=total)
    )
    job.result = vars(result)


def run_freeze(job: Job) -> None:
    export.run(job, beat=lambda done: jobs.beat(job, done=done))


def run_render(job: Job) -> None:
    render.run(job, beat=lambda done: jobs.beat(job, done=done))


RUN = {Job.Kind.IMPORT: run_import, Job.Kind.FREEZE: run_freeze, Job.Kind.RENDER: run_render}
