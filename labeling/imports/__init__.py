"""Files, in. The whole file is read and checked before a row is written; then hidden batches, then
one publishing UPDATE.

- files/: the rows of a file of any kind
- formats/: rows to entries, one module a family of formats
- mapping/: rows to entries, by a table that says which field is what
- sources.py: which of the two reads a file, and which of its fields nothing reads
- reading.py: all of the file checked, and set down
- kept.py: what a check has read, for the import that follows
- cleaning.py and store.py: what comes in, and how into the database
- turns.py: one import into a project at a time
- spool.py: what has to be remembered meanwhile, on disk
- undo.py: an import taken back
"""

from __future__ import annotations

import gc
import json
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from django.conf import settings

from labeling.imports import files, kept, reading, store, turns, uploads
from labeling.imports.choice import Choice, of_table
from labeling.imports.cleaning import Cleaner, Tally, prompt_digests
from labeling.imports.formats import FORMATS, recognise
from labeling.imports.found_codes import Found, FoundCodes, code_paths
from labeling.imports.mapping import Field, FieldTable, fields, propose
from labeling.imports.reading import BadFile, Beat, UnreadFields, has_fields
from labeling.imports.sources import Read, Source, source_of
from labeling.text.conversations import storable
from modelops import jobs, recipes
from modelops import store as file_store
from modelops.models import Job
from people.models import Project, User

__all__ = [
    "FORMATS",
    "BadFile",
    "Tally",
    "UnreadFields",
    "add",
    "bad_rows_of",
    "check",
    "import_file",
    "preview",
    "recognise",
    "run",
    "store_bad_rows",
]
BAD_ROWS = "bad_rows_stored"  # in a job's result: the sha256 of the file of its bad rows
SHOWN = 200  # bad lines that a check lists
LOOKED_AT = 200  # rows whose fields are shown before a check has read all of them


@contextmanager
def _rare_collections() -> Iterator[None]:
    """An import makes millions of objects that are in no cycle. To look for cycles among them at
    the usual intervals takes a quarter of its time.

    Only where it has the process to itself: the threads of a web process share the intervals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


@_rare_collections()
def run(job: Job, path: Path, beat: Beat = lambda done, total: None) -> Tally:
    """Run an import job: read, check and write its file.

    Raises BadFile with nothing imported, also UnreadFields; InvalidRecipe for a mapping that is
    none; StoreFault where its bad rows can't be stored, with nothing imported. While it waits for
    another import into the project, the job says so.
    """
    recipe = recipes.read(Job.Kind.IMPORT, job.recipe)
    skip = bad_rows_of(path, job.pk) if recipe.skip_bad else None
    with turns.turn(job.project, turns.of_job(job), job):
        cleaner = _all_read(job.project, path, recipe, beat, skip)
        if skip:
            store_bad_rows(job, skip)  # before a row is written: it may fail
        cleaner.job = job
        tally = store.write(job, cleaner, beat)
    kept.discard(kept.place(path))
    return tally


@_rare_collections()
def check(
    project: Project,
    path: Path,
    recipe: recipes.ImportRecipe,
    beat: Beat = lambda done, total: None,
    bad_rows: Path | None = None,
) -> dict:
    """What an import would do, the bad lines, the file's fields and those of them that nothing
    reads. Nothing is written, but bad rows to `bad_rows` if given.

    A mapping that lacks something yet has its `fault` said: then there are only the fields.
    """
    try:
        source = source_of(recipe)
    except recipes.InvalidRecipe as error:
        return _only_fields(path, recipe, error.message)
    skip = bad_rows or Path("/dev/null")
    cleaner = _read(project, path, recipe, source, beat, skip, keeps=bad_rows is not None)
    total = cleaner.reading.entries.count
    for _batch in cleaner.batches():
        beat(cleaner.done, total)
    return vars(cleaner.tally) | {
        "bad_lines": cleaner.reading.bad[:SHOWN],
        "fields": stored_fields(cleaner.reading.fields),
        "unread": [one.path for one in cleaner.reading.unread(source)],
        "codes": cleaner.reading.codes,
    }


def _only_fields(path: Path, recipe: recipes.ImportRecipe, fault: str) -> dict:
    table, codes = FieldTable(), FoundCodes(recipe.mapping)
    count = sum(1 for _row in reading.noted(files.rows(path, recipe.filename), table, codes))
    return vars(Tally(rows=count)) | {
        "bad_lines": [],
        "fields": stored_fields(table.fields()),
        "unread": [],
        "codes": codes.as_dict(),
        "fault": fault,
    }


def bad_rows_of(path: Path, job: int) -> Path:
    """The file of the rows that an import leaves out."""
    return path.with_name(f"{path.name}.{job}.bad.jsonl")


def store_bad_rows(job: Job, left_out: Path) -> None:
    """Bring the file of its bad rows into the store, and note that in the job's result. Raises
    modelops.store.StoreFault.
    """
    job.result.pop(BAD_ROWS, None)  # of an earlier attempt
    if left_out.exists() and left_out.stat().st_size:
        job.result[BAD_ROWS] = file_store.put(left_out)


def bad_rows(job: Job) -> Path | None:
    """The file of the rows that a job has left out, on this host; None where there is none. Raises
    modelops.store.StoreFault.
    """
    path = bad_rows_of(settings.VAR / job.recipe["path"], job.pk)
    if job.result.get(BAD_ROWS) and not path.exists():
        uploads.bring(job.result[BAD_ROWS], path)
    return path if path.is_file() else None


def _all_read(
    project: Project, path: Path, recipe: recipes.ImportRecipe, beat: Beat, skip: Path | None
) -> Cleaner:
    """The file's entries, if every field of it is read, kept or left out. Raises UnreadFields."""
    source = source_of(recipe)
    cleaner = _read(project, path, recipe, source, beat, skip)
    if unread := cleaner.reading.unread(source):
        near = {one.path: source.near_miss(one.path, cleaner.reading.fields) for one in unread}
        raise UnreadFields(unread, near)
    return cleaner


def _read(
    project: Project,
    path: Path,
    recipe: recipes.ImportRecipe,
    source: Source,
    beat: Beat,
    skip: Path | None,
    keeps: bool = False,
) -> Cleaner:
    """The file's entries, as a check of it has read them or, else, from the file. `keeps` what was
    read for the import that follows.
    """
    place = kept.place(path)
    stamp = kept.stamp(project, path, recipe) if place else ""
    checked = kept.load(place, stamp, source, skip) if place else None
    if checked is None:
        checked = _read_file(project, path, recipe, source, beat, skip)
        if place and keeps:
            kept.keep(place, stamp, checked, source, skip)
    elif skip is None:
        checked.refuse_bad_rows()
    cleaner = Cleaner(project, checked, recipe)
    for reason, count in source.left_out.items():
        cleaner.tally.leave_out(reason, count)
    return cleaner


def _read_file(
    project: Project,
    path: Path,
    recipe: recipes.ImportRecipe,
    source: Source,
    beat: Beat,
    skip: Path | None,
) -> reading.Reading:
    with (
        open(skip, "w", encoding="utf-8", errors="backslashreplace")
        if skip
        else nullcontext() as out
    ):
        return reading.read(
            path,
            source,
            project,
            recipe.split,
            skip=out,
            beat=beat,
            filename=recipe.filename,
            cleans_answers=recipe.answers,
            digests=prompt_digests(recipe),
        )


def preview(path: Path, source: Source, filename: str = "", count: int = 10) -> list[Read]:
    """The first rows as they would be read: (row, its entries, why it is bad)."""
    return list(source.read(files.head(path, count, filename)))


def proposed(path: Path) -> dict:
    """The settings that read a file as it looks: a format; or, where that leaves more of its fields
    unread, a mapping by names and types, which people complete.
    """
    format = recognise(path)
    by_format = {"format": format or "prompts"}
    source = source_of(recipes.read(Job.Kind.IMPORT, by_format))
    first = [read for read in preview(path, source, count=LOOKED_AT) if has_fields(read[0])]
    all_fields = fields(row.value for row, _entries, _error in first)
    good = fields(row.value for row, _entries, error in first if not error)
    unread = len(source.unread(good or all_fields))
    if not first or (format and not unread):
        return by_format
    rows = [row.value for row, _entries, _error in first]
    proposal = propose(all_fields, rows)
    by_mapping = of_table(proposal.mapping)
    if format and unread <= len(Choice(by_mapping, all_fields, {}).unread()):
        return by_format
    return {"format": proposal.preset} if proposal.preset else by_mapping


def fields_of(job: Job, recipe: dict) -> tuple[list[Field], Found]:
    """The fields of a job's file, and the codes that a recipe's mapping takes for something.

    Those that the job has found in the whole file, as far as it has; else those of the first rows.
    """
    check = job.result.get("check", {})
    format = FORMATS.get(recipe.get("format", ""))
    preset = format.mapping if format and not recipe.get("mapping") else None
    table = preset.as_dict() if preset else recipe.get("mapping") or {}
    if "fields" in check and set(code_paths(table)) <= check["codes"].keys():
        return [_field(one) for one in check["fields"]], check["codes"]
    path = uploads.find(job.recipe)
    if not path.exists():
        return [], {}
    first, codes = first_fields(path, table, job.recipe.get("filename", ""))
    return [_field(one) for one in check.get("fields", [])] or first, codes


def stored_fields(of_file: list[Field]) -> list[dict]:
    """The fields as a job's result holds them: no database stores NUL or half surrogates."""
    return [vars(one) | {"examples": list(map(storable, one.examples))} for one in of_file]


def _field(stored: dict) -> Field:
    return Field(**{n: tuple(v) if isinstance(v, list) else v for n, v in stored.items()})


def first_fields(
    path: Path, table: dict, filename: str = "", count: int = LOOKED_AT
) -> tuple[list[Field], Found]:
    """The fields of the file's first rows, and their codes where a mapping's table has some."""
    first, codes = FieldTable(), FoundCodes(table)
    for _row in reading.noted(files.head(path, count, filename), first, codes):
        pass
    return first.fields(), codes.as_dict()


@_rare_collections()
def import_file(
    actor: User | None,
    project: Project,
    path: Path,
    format: str = "prompts",
    skip_bad: Path | None = None,
    wait: Callable[[str], None] = lambda why: None,
    **settings_,
) -> Tally:
    """Import a file in this process; bad rows go to the file `skip_bad`. `wait` is called with what
    it waits for, while another import into the project runs.

    Raises BadFile (also UnreadFields) before a job exists, or jobs.JobFailed; and what `wait`
    raises, and Refused in a transaction that would have to wait.
    """
    from_file = {
        "path": str(path.resolve()),
        "format": format,
        "filename": path.name,
        "skip_bad": skip_bad is not None,
    }
    recipe = recipes.read(Job.Kind.IMPORT, from_file | settings_)
    with turns.turn(project, wait):
        cleaner = _all_read(project, path, recipe, lambda done, total: None, skip_bad)
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

    A row is named by its position, from 0. Raises UnreadFields, jobs.JobFailed, or Refused while
    another import into the project runs.
    """
    settings.VAR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.VAR, prefix=".rows-") as folder:
        path, bad = Path(folder, "rows.jsonl"), Path(folder, "bad.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        wait = turns.of_request(project)
        named = {"filename": "API"} | settings_
        tally = import_file(actor, project, path, skip_bad=bad, wait=wait, **named)
        with open(bad, encoding="utf-8") as file:
            refused = [json.loads(line) for line in file]
    return tally, [{"row": row["line"] - 1, "detail": row["reason"]} for row in refused]
