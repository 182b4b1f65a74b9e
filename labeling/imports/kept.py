"""What a check has read, kept for the import that follows: then the file is not read once more.

It is of use for the same file with the same settings, as long as the project has the same prompts
and criteria and the code is the same. It lies in the data folder, under the upload's name.
"""

from __future__ import annotations

import hashlib
import pickle
import secrets
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Count, Max

from labeling.imports.reading import Reading
from labeling.imports.sources import Source
from labeling.imports.spool import Spool
from labeling.judging import criteria
from labeling.models import Prompt
from modelops import rows
from modelops.recipes import ImportRecipe
from people.models import Project

FOLDER = "checked"
SPLITS = ("split", "split of prompt")  # the words that cleaning needs
FIGURES = ("changes", "bad", "rows", "bad_rows", "pictures", "knows_splits", "fields", "codes")
NOT_OF_READING = ("dry_run", "skip_bad")
CODE = Path(__file__).parent.parent


def place(upload: Path) -> Path | None:
    """Where it is kept what was read of an upload; None for a file that is none."""
    if upload.parent != settings.VAR / "uploads":
        return None
    return settings.VAR / FOLDER / upload.name


def stamp(project: Project, upload: Path, recipe: ImportRecipe) -> str:
    """Changes with all that reading depends on."""
    of_recipe = {name: value for name, value in vars(recipe).items() if name not in NOT_OF_READING}
    prompts = Prompt.objects.filter(project=project, published=True)
    here = prompts.aggregate(n=Count("pk"), last=Max("pk"))
    asked = repr(sorted(criteria.known(project).items()))
    parts = sorted(upload.rglob("*")) if upload.is_dir() else [upload]
    files = [[part.name, part.stat().st_size, part.stat().st_mtime_ns] for part in parts]
    return rows.digest([_code(), project.pk, files, of_recipe, here, asked])


@cache
def _code() -> str:
    """A hash of the code that reads: this process has loaded it."""
    content = hashlib.sha256()
    for file in sorted([*CODE.rglob("*.py"), *CODE.rglob("*.toml")]):
        content.update(file.read_bytes())
    return content.hexdigest()


def keep(place: Path, stamp: str, reading: Reading, source: Source, bad_rows: Path | None) -> None:
    """Keep what was read, and where its bad rows are. Before anything is cleaned of it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_name(f"{place.name}.{secrets.token_hex(8)}")
    head = {
        "stamp": stamp,
        "figures": {name: getattr(reading, name) for name in FIGURES},
        "left_out": source.left_out,
        "bad_rows": bad_rows,
        "entries": reading.entries.count,
    }
    with open(unfinished, "wb") as file:
        pickle.dump(head, file)
        for words in reading.scratch.words(SPLITS):
            pickle.dump(words, file, pickle.HIGHEST_PROTOCOL)
        pickle.dump([], file)
        reading.entries.copy_to(file)
    unfinished.replace(place)


def load(place: Path, stamp: str, source: Source, skip: Path | None) -> Reading | None:
    """What was kept under this stamp, with its bad rows at `skip`; None if there is nothing."""
    try:
        file = open(place, "rb")  # noqa: SIM115
    except FileNotFoundError:
        return None
    # it stays open: the entries are read later
    head: dict[str, Any] = pickle.load(file)
    bad_rows = head["bad_rows"]
    is_whole = not head["figures"]["bad_rows"] or (bad_rows is not None and bad_rows.exists())
    if head["stamp"] != stamp or not is_whole:
        file.close()
        return None
    reading = Reading(**head["figures"])
    while words := pickle.load(file):
        for kind, key, value in words:
            reading.scratch.put(kind, key, value)
    reading.entries = Spool(file, head["entries"])
    source.left_out += head["left_out"]
    if skip is not None and bad_rows != skip:
        shutil.copyfile(bad_rows, skip) if bad_rows else skip.touch()
    return reading


def discard(place: Path | None) -> None:
    if place is not None:
        place.unlink(missing_ok=True)
