"""Files, in. The whole file is read and checked before a row is written; then hidden batches, then
one publishing UPDATE.

files/       rows of a file of any kind         formats/     rows to entries, one module a family of
formats reading.py   all of it checked, set down        cleaning.py  what comes in, and how store.py
into the database                  spool.py     what has to be remembered meanwhile, on disk
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

from django.conf import settings

from labeling.imports import files, reading, store
from labeling.imports.cleaning import Cleaner, Tally
from labeling.imports.files import Row
from labeling.imports.formats import FORMATS, recognise
from labeling.imports.reading import BadFile, Beat
from labeling.text.conversations import Entry
from modelops import jobs, recipes
from modelops.models import Job
from people.models import Project, User

__all__ = [
    "FORMATS",
    "BadFile",
    "Tally",
    "add",
    "bad_rows_of",
    "check",
    "import_file",
    "preview",
    "recognise",
    "run",
]
SHOWN = 200  # bad lines that a check lists


def run(job: Job, path: Path, beat: Beat = lambda done, total: None) -> Tally:
    """Run an import job: read, check and write its file. Raises BadFile with nothing imported."""
    recipe = recipes.read(Job.Kind.IMPORT, job.recipe)
    cleaner = _read(
        job.project, path, recipe, beat, bad_rows_of(path, job.pk) if recipe.skip_bad else None
    )
    cleaner.job = job
    return store.write(job, cleaner, beat)


def check(
    project: Project,
    path: Path,
    recipe: recipes.ImportRecipe,
    beat: Beat = lambda done, total: None,
    bad_rows: Path | None = None,
) -> dict:
    """What an import would do, and the bad lines. Nothing is written, but bad rows to `bad_rows` if
    given.
    """
    cleaner = _read(project, path, recipe, beat, bad_rows or Path("/dev/null"))
    total = cleaner.reading.entries.count
    for done, _batch in enumerate(cleaner.batches(), start=1):
        beat(min(done * reading.BATCH, total), total)
    return vars(cleaner.tally) | {"bad_lines": cleaner.reading.bad[:SHOWN]}


def bad_rows_of(path: Path, job: int) -> Path:
    """The file of the rows that an import leaves out."""
    return path.with_name(f"{path.name}.{job}.bad.jsonl")


def _read(
    project: Project, path: Path, recipe: recipes.ImportRecipe, beat: Beat, skip: Path | None
) -> Cleaner:
    with (
        open(skip, "w", encoding="utf-8", errors="backslashreplace")
        if skip
        else nullcontext() as out
    ):
        checked = reading.read(
            path,
            recipe.format,
            project,
            recipe.split,
            skip=out,
            beat=beat,
            filename=recipe.filename,
            cleans_answers=recipe.answers,
        )
        return Cleaner(project, checked, recipe)


def preview(
    path: Path, format: str, filename: str = "", count: int = 10
) -> list[tuple[Row, list[Entry], str]]:
    """The first rows as they would be read: (row, its entries, why it is bad)."""
    return list(reading.parse(files.head(path, count, filename), format))


def import_file(
    actor: User | None,
    project: Project,
    path: Path,
    format: str = "prompts",
    skip_bad: Path | None = None,
    **settings_,
) -> Tally:
    """Import a file in this process; bad rows go to the file `skip_bad`.

    Raises BadFile before a job exists, or jobs.JobFailed.
    """
    from_file = {
        "path": str(path.resolve()),
        "format": format,
        "filename": path.name,
        "skip_bad": skip_bad is not None,
    }
    recipe = recipes.read(Job.Kind.IMPORT, from_file | settings_)
    cleaner = _read(project, path, recipe, lambda done, total: None, skip_bad)
    with jobs.inline(actor, project, Job.Kind.IMPORT, vars(recipe)) as job:
        cleaner.job = job
        tally = store.write(
            job, cleaner, beat=lambda done, total: jobs.beat(job, done=done, total=total)
        )
        job.result = vars(tally)
    return tally


def add(
    actor: User | None, project: Project, rows: Iterable[dict], **settings_
) -> tuple[Tally, list[dict]]:
    """Import rows without a file, in this process: (what was added, the refused rows with reasons).

    A row is named by its position, from 0. Raises jobs.JobFailed.
    """
    settings.VAR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.VAR, prefix=".rows-") as folder:
        path, bad = Path(folder, "rows.jsonl"), Path(folder, "bad.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        tally = import_file(actor, project, path, skip_bad=bad, **{"filename": "API"} | settings_)
        with open(bad, encoding="utf-8") as file:
            refused = [json.loads(line) for line in file]
    return tally, [{"row": row["line"] - 1, "detail": row["reason"]} for row in refused]
