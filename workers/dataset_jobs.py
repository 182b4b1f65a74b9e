"""Jobs of the default queue: imports, datasets, downloads, and what moves from and to the Hub."""

from labeling import imports
from labeling.exports import difference, downloads, freeze, push
from labeling.imports import pull as pull_data
from labeling.imports import undo, uploads
from modelops import datasets, jobs, recipes, registry, store, weights
from modelops import pull as pull_model
from modelops.models import Job
from people.access import Refused
from people.limited import LimitReached


def run(job: Job) -> None:
    """Run a job of RUN. Raises JobFailed with what to do."""
    try:
        RUN[job.kind](job)
    except (
        imports.BadFile,
        freeze.NothingToFreeze,
        difference.NotComparable,
        datasets.Withheld,
        store.StoreFault,
        recipes.InvalidRecipe,
        weights.BadWeights,
        registry.NotRegistered,
        Refused,
    ) as error:
        raise jobs.JobFailed(str(error)) from error
    except LimitReached as error:
        raise jobs.JobFailed(
            f"The file was not read to its end: {error}. Nothing was imported. The operator sets "
            "the limits (PODIUM_READ_MEMORY, PODIUM_READ_SECONDS)."
        ) from error
    except FileNotFoundError as error:
        raise jobs.JobFailed(f"{error.filename} is gone: upload it again.") from error


def run_import(job: Job) -> None:
    path = uploads.find(job.recipe)

    def beat(done: int, total: int) -> None:
        jobs.beat(job, done=done, total=total)

    recipe = recipes.read(Job.Kind.IMPORT, job.recipe)
    if recipe.dry_run:
        left_out = imports.bad_rows_of(path, job.pk)
        found = imports.check(job.project, path, recipe, beat, left_out)
        job.result = {"check": found}
        imports.store_bad_rows(job, left_out)
    else:
        tally = imports.run(job, path, beat)
        job.result |= vars(tally)


def run_undo(job: Job) -> None:
    job.result = vars(undo.run(job, lambda done, total: jobs.beat(job, done=done, total=total)))


def run_freeze(job: Job) -> None:
    freeze.run(job, beat=lambda done: jobs.beat(job, done=done))


RUN = {
    Job.Kind.IMPORT: run_import,
    Job.Kind.UNDO: run_undo,
    Job.Kind.PULL_DATA: pull_data.run,
    Job.Kind.PULL_MODEL: pull_model.run,
    Job.Kind.PUSH: push.run,
    Job.Kind.FREEZE: run_freeze,
    Job.Kind.RENDER: downloads.run,
    Job.Kind.COMPARE: difference.run,
}
