"""Downloads: each file of a dataset is made once, by a job where it is large, and lies there for
whoever comes next.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode

from labeling.exports import dataset_card, formats
from labeling.exports.examples import View
from modelops import datasets, jobs, recipes, rows
from modelops.models import Dataset, Job
from modelops.recipes import RenderRecipe
from people.models import User

SMALL = 20_000  # rows and pairs that are written while somebody waits: about a second
EDITION = (
    3  # counts on when a format changes, so that files of the old one are not handed out as the new
)


class NotOffered(ValueError):
    """There is no such file of this dataset; the text says what there is."""


def offered(dataset: Dataset) -> dict[str, formats.Format]:
    return {name: one for name, one in formats.FORMATS.items() if dataset.kind in one.kinds}


def choose(dataset: Dataset, format: str, file: str = "", **options) -> RenderRecipe:
    """The recipe of a file; options that mean nothing to the format are forgotten. Raises
    NotOffered.
    """
    found = offered(dataset)
    if format not in found:
        raise NotOffered(
            f"Dataset {dataset.short} holds {dataset.kind}; its formats: {', '.join(found)}."
        )
    one = found[format]
    if file and file not in one.files:
        raise NotOffered(f"The format {format} comes as {' or '.join(one.files)}.")
    kept = {
        name: value
        for name, value in options.items()
        if name in one.options or (name == "split" and format != "folder")
    }
    try:
        return recipes.read("render", {"format": format, "file": file or one.files[0]} | kept)
    except recipes.InvalidRecipe as error:
        raise NotOffered(str(error)) from error


def loses_ties(dataset: Dataset, recipe: RenderRecipe) -> bool:
    """Whether rankings tie answers of which this file says nothing."""
    return bool(dataset.counts.get("ties")) and not formats.FORMATS[recipe.format].ties


def name_of(dataset: Dataset, recipe: RenderRecipe) -> str:
    """demo-1b75d6783198-conversational-train.jsonl."""
    changed = [
        value
        for value in (recipe.pairs, recipe.judged)
        if value not in (RenderRecipe.pairs, RenderRecipe.judged)
    ]
    changed += ["metadata"] if recipe.metadata else []
    parts = (dataset.project.slug, dataset.short, recipe.format, recipe.split, *changed)
    return "-".join(part for part in parts if part) + f".{recipe.file}"


def path(dataset: Dataset, recipe: RenderRecipe) -> Path:
    made_of = [EDITION, vars(recipe)]
    if recipe.format == "folder":  # its README says what may change while the rows stay
        made_of += [dataset.note, dataset.licence]
    return datasets.renders(dataset) / f"{rows.digest(made_of)[:32]}.{recipe.file}"


def is_small(dataset: Dataset) -> bool:
    return max(dataset.counts["rows"], dataset.counts["pairs"]) <= SMALL


def make(dataset: Dataset, recipe: RenderRecipe, beat=lambda done: None) -> Path:
    """The file, made now unless it lies there. It appears whole or not at all. Raises
    datasets.Withheld.
    """
    datasets.refuse_withdrawn(dataset)
    file = path(dataset, recipe)
    if file.exists():
        return file
    datasets.verify(dataset)
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".new-", delete=False) as out:
        try:
            write(dataset, recipe, out, beat)
            out.flush()
            os.fsync(out.fileno())
            os.replace(out.name, file)
        finally:
            Path(out.name).unlink(missing_ok=True)
    return file


def write(dataset: Dataset, recipe: RenderRecipe, out: BinaryIO, beat=lambda done: None) -> None:
    """The same dataset and the same recipe are the same bytes."""
    if recipe.format == "folder":
        dataset_card.write_folder(dataset, out)
        return
    view = View(recipe.pairs, recipe.judged, recipe.metadata)
    found = formats.contents(
        datasets.path(dataset), recipe.format, recipe.split, view, dataset.digest
    )
    formats.FILES[recipe.file](_counted(found, beat), out)


def _counted(items: Iterable[dict], beat) -> Iterator[dict]:
    for done, item in enumerate(items):
        if done % 10_000 == 0:
            beat(done)
        yield item


# By a job


def request(actor: User, dataset: Dataset, recipe: RenderRecipe) -> Job:
    """The job that makes the file: the one that is at it already, or a new one."""
    return working_at(dataset, recipe) or jobs.request(
        actor, dataset.project, Job.Kind.RENDER, vars(recipe), dataset=dataset
    )


def working_at(dataset: Dataset, recipe: RenderRecipe) -> Job | None:
    live = Job.objects.filter(
        dataset=dataset, kind=Job.Kind.RENDER, state__in=[Job.State.QUEUED, Job.State.RUNNING]
    )
    return next((job for job in live if job.recipe == vars(recipe)), None)


def run(job: Job, beat=lambda done: None) -> None:
    """What a render job asks for. Raises datasets.Withheld."""
    recipe = recipes.read(job.kind, job.recipe)
    file = make(job.dataset, recipe, beat)
    job.result = {
        "download": job.dataset.pk,
        "bytes": file.stat().st_size,
        "query": urlencode(query(recipe)),
    }


def query(recipe: RenderRecipe) -> dict:
    """What a link to the file says: every setting that is not as usual."""
    usual = RenderRecipe()
    said = {name: value for name, value in vars(recipe).items() if value != getattr(usual, name)}
    return said | {"format": f"{recipe.format}.{recipe.file}"}
