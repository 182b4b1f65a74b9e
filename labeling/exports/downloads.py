"""Download files of a dataset: each is made once and then kept. A job makes the large ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from labeling.exports import dataset_card, formats, prompt_metadata
from labeling.exports.examples import View
from labeling.exports.type_inference import types_first
from modelops import datasets, jobs, recipes, rendered, rows, weights
from modelops.hashing import Watch, unwatched
from modelops.models import Dataset, Job
from modelops.progress import Transfer
from modelops.recipes import RenderRecipe
from people.models import User

SMALL = 20_000  # rows and pairs that a request writes itself: about a second
EDITION = 4  # raised when a format changes, so that older files are made again


class NotOffered(ValueError):
    """The dataset has no such file; the message says which there are."""


def offered(dataset: Dataset) -> dict[str, formats.Format]:
    """The formats that support this kind of dataset, by name."""
    return {
        name: format for name, format in formats.FORMATS.items() if dataset.kind in format.kinds
    }


def choose(dataset: Dataset, format: str, file: str = "", **options: Any) -> RenderRecipe:
    """The recipe of a file. Options that the format does not use are dropped, but for weights: they
    have to be in it. Raises NotOffered.
    """
    available = offered(dataset)
    if format not in available:
        names = ", ".join(available)
        raise NotOffered(f"Dataset {dataset.short} holds {dataset.kind}; its formats: {names}.")
    files = available[format].files
    if file and file not in files:
        raise NotOffered(f"The format {format} comes as {' or '.join(files)}.")
    used = set(available[format].options)
    if format != "folder":
        used.add("split")
    settings = {name: value for name, value in options.items() if name in used}
    if start := options.get("weights"):
        settings["weights"] = _weights_id(dataset, format, start)
    values = {"format": format, "file": file or files[0]} | settings
    try:
        recipe: RenderRecipe = recipes.read("render", values)
    except recipes.InvalidRecipe as error:
        raise NotOffered(str(error)) from error
    return recipe


def _weights_id(dataset: Dataset, format: str, start: str) -> str:
    """The whole id of the labeler weights. Raises NotOffered."""
    if "weights" not in formats.FORMATS[format].options:
        raise NotOffered(f"The format {format} holds no weights of labelers: choose another one.")
    try:
        return weights.find(dataset, start).digest
    except weights.BadWeights as error:
        raise NotOffered(str(error)) from error


def loses_ties(dataset: Dataset, recipe: RenderRecipe) -> bool:
    """Whether the dataset has ties that this file would not show."""
    return bool(dataset.counts.get("ties")) and not formats.FORMATS[recipe.format].ties


def name_of(dataset: Dataset, recipe: RenderRecipe) -> str:
    """The file name, like demo-1b75d6783198-conversational-train.jsonl."""
    defaults = (RenderRecipe.pairs, RenderRecipe.judged)
    changed = [value for value in (recipe.pairs, recipe.judged) if value not in defaults]
    changed += [name for name in ("metadata", "bom", "formulas") if getattr(recipe, name)]
    if recipe.weights:
        changed.append(f"weights-{recipe.weights[:12]}")
    parts = (dataset.project.slug, dataset.short, recipe.format, recipe.split, *changed)
    return "-".join(part for part in parts if part) + f".{recipe.file}"


def path(dataset: Dataset, recipe: RenderRecipe) -> Path:
    """Where the file is kept, whether it is made already or not."""
    identity = [EDITION, vars(recipe)]
    if recipe.format == "folder":  # its README shows what may change while the rows stay the same
        identity += [dataset.note, dataset.licence]
    return datasets.renders(dataset) / f"{rows.digest(identity)[:32]}.{recipe.file}"


def is_small(dataset: Dataset) -> bool:
    size: int = max(dataset.counts["rows"], dataset.counts["pairs"])
    return size <= SMALL


def is_ready(dataset: Dataset, recipe: RenderRecipe) -> bool:
    """Whether a request may have the file at once. Raises store.StoreFault."""
    return is_small(dataset) or rendered.is_made(dataset, path(dataset, recipe))


def make(dataset: Dataset, recipe: RenderRecipe, watch: Watch = unwatched) -> Path:
    """The path of the file, which is made now unless it exists here or in the store. A file is
    never seen half written.

    `watch` is told of bytes_read(). Raises what it raises, datasets.Withheld, store.StoreFault, or
    weights.BadWeights where they are gone.
    """
    datasets.refuse_withdrawn(dataset)
    file = path(dataset, recipe)
    if made := rendered.find(dataset, file):
        return made
    datasets.verify(dataset, watch)
    datasets.render(file, lambda out: write(dataset, recipe, out, watch))
    return file


def keep(dataset: Dataset, recipe: RenderRecipe) -> None:
    """Bring a file that was made here into the store, for the other hosts. Raises
    store.StoreFault.
    """
    file = path(dataset, recipe)
    if file.exists():
        name, content_type = name_of(dataset, recipe), formats.CONTENT_TYPES[recipe.file]
        rendered.keep(dataset, file, name, content_type)


def bytes_read(dataset: Dataset, recipe: RenderRecipe) -> int:
    """How many bytes make() reads: the rows are checked first, then read once or more. Raises
    datasets.Withheld.
    """
    if recipe.format == "folder":
        passes = dataset_card.passes(dataset)
    else:
        passes = 2 if _has_types_first(dataset, recipe) else 1
    return datasets.size(dataset) * (1 + passes)


def write(dataset: Dataset, recipe: RenderRecipe, out: BinaryIO, watch: Watch = unwatched) -> None:
    """Write the file. The same dataset and recipe give the same bytes."""
    if recipe.format == "folder":
        dataset_card.write_folder(dataset, out, watch)
        return
    if recipe.format == "rows" and recipe.file == "parquet":
        dataset_card.write_rows(dataset, recipe.split, out, watch)
        return
    write_file = formats.FILES[recipe.file]
    if recipe.file == "parquet" and formats.structured(dataset.counts):
        write_file = partial(formats.apache_parquet, structured=True)
    if recipe.file == "csv":
        write_file = partial(formats.comma_separated, bom=recipe.bom, formulas=recipe.formulas)
    contents = _contents(dataset, recipe, watch)
    items = types_first(contents) if _has_types_first(dataset, recipe) else contents()
    write_file(items, out)


def _contents(
    dataset: Dataset, recipe: RenderRecipe, watch: Watch
) -> Callable[[], Iterator[dict[str, Any]]]:
    """What gives the examples of the file; each call gives them all."""
    if recipe.format == "metadata":
        return lambda: prompt_metadata.of(dataset, recipe.split, watch)
    given = weights.find(dataset, recipe.weights).by_labeler if recipe.weights else None
    view = View(recipe.pairs, recipe.judged, recipe.metadata, given)
    folder = datasets.path(dataset)
    return lambda: formats.contents(
        folder, recipe.format, recipe.split, view, dataset.digest, watch
    )


def _has_types_first(dataset: Dataset, recipe: RenderRecipe) -> bool:
    """Whether the types of some examples may differ from those of others: by nulls, empty lists or
    turns with other keys. The frozen rows keep their order, which their id is made of.
    """
    if recipe.format == "rows" or recipe.file not in formats.LINES:
        return False
    varied = recipe.metadata or recipe.format in ("listwise", "helpsteer", "metadata")
    return varied or formats.structured(dataset.counts)


# Files that a job makes


def request(actor: User, dataset: Dataset, recipe: RenderRecipe) -> Job:
    """The job that makes the file: the one that is waiting or running, or a new one."""
    latest = latest_job(dataset, recipe)
    if latest and latest.live:
        return latest
    return jobs.request(actor, dataset.project, Job.Kind.RENDER, vars(recipe), dataset=dataset)


def latest_job(dataset: Dataset, recipe: RenderRecipe) -> Job | None:
    """The job that waits or runs to make this file; else the last that did."""
    return jobs.latest(Job.Kind.RENDER, recipe, dataset=dataset)


def run(job: Job) -> None:
    """Run a render job. Raises datasets.Withheld, and what a beat raises."""
    datasets.refuse_withdrawn(job.dataset)
    assert job.dataset is not None  # it would have been refused
    recipe = recipes.read(job.kind, job.recipe)
    transfer = progress_of(job, job.dataset, recipe)
    file = make(job.dataset, recipe, transfer.watch)
    keep(job.dataset, recipe)
    transfer.finish()
    job.result = {
        "download": job.dataset.pk,
        "bytes": file.stat().st_size,
        "query": urlencode(query(recipe)),
    }


def progress_of(job: Job, dataset: Dataset, recipe: RenderRecipe) -> Transfer:
    """The progress of a job that makes the file. Raises datasets.Withheld."""
    transfer = Transfer(job, bytes_read(dataset, recipe))
    transfer.begin(_("reading"))
    return transfer


def query(recipe: RenderRecipe) -> dict[str, Any]:
    """The query of a link to the file: every setting that differs from its default."""
    defaults = vars(RenderRecipe())
    changed = {name: value for name, value in vars(recipe).items() if value != defaults[name]}
    return changed | {"format": f"{recipe.format}.{recipe.file}"}
