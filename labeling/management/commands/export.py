"""`manage.py export DATASET --format FORMAT --output FILE`: a file of a dataset."""

from __future__ import annotations

import sys
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling.exports import downloads, formats, losses
from labeling.management.project import project_or_error
from labeling.models import Prompt
from modelops import datasets
from modelops.models import Dataset
from modelops.recipes import RenderRecipe

PAIRS, JUDGED, WEIGHTS, BOM, FORMULAS = (
    RenderRecipe.__dataclass_fields__[name].metadata
    for name in ("pairs", "judged", "weights", "bom", "formulas")
)
OPTIONS = ("split", "pairs", "judged", "metadata", "weights", "bom", "formulas")


class Command(BaseCommand):
    help = "Write a frozen dataset to a file, in one of the formats of its download page."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset", help="the dataset's id, or how it begins")
        parser.add_argument("--project", default="", metavar="SLUG", help="where several hold it")
        parser.add_argument(
            "--format",
            choices=formats.FORMATS,
            default="conversational",
            help="how an example is written",
        )
        parser.add_argument(
            "--split", choices=Prompt.Split.values, default="", help="only this split"
        )
        parser.add_argument("--pairs", choices=PAIRS["choices"], default="all", help=PAIRS["help"])
        parser.add_argument(
            "--judged", choices=JUDGED["choices"], default="each", help=JUDGED["help"]
        )
        parser.add_argument(
            "--metadata",
            action="store_true",
            help="who judged, which model wrote, ranks, ratings, …",
        )
        parser.add_argument("--weights", default="", metavar="ID", help=WEIGHTS["help"])
        parser.add_argument("--bom", action="store_true", help=BOM["help"])
        parser.add_argument("--formulas", action="store_true", help=FORMULAS["help"])
        parser.add_argument(
            "--output",
            type=Path,
            help="the file to write; its ending says what file: .jsonl, .jsonl.gz, .jsonl.zst, "
            ".parquet, .csv, .json, .zip. Without it, the standard output",
        )

    def handle(
        self, *, dataset: str, project: str, format: str, output: Path | None, **options
    ) -> None:
        frozen = dataset_or_error(dataset, project)
        chosen = {name: options[name] for name in OPTIONS if options.get(name)}
        try:
            recipe = downloads.choose(frozen, format, ending(output), **chosen)
            datasets.verify(frozen)
        except (downloads.NotOffered, datasets.Withheld) as error:
            raise CommandError(str(error)) from None
        if downloads.loses_ties(frozen, recipe):
            self.stderr.write(
                "Rankings tie answers of which this format says nothing; listwise keeps them."
            )
        lost = losses.of(recipe.format, frozen.kind, recipe.metadata)
        if lost := [name for name in lost if name != "formulas" or not recipe.formulas]:
            named = "; ".join(str(losses.WHAT[name]) for name in lost)
            self.stderr.write(f"Lost when imported again: {named}.")
        if output is None:
            downloads.write(frozen, recipe, sys.stdout.buffer)
        else:
            with open(output, "wb") as out:
                downloads.write(frozen, recipe, out)


def ending(output: Path | None) -> str:
    """The file that its name asks for; of an ending that says nothing, the format's own."""
    name = "" if output is None else output.name
    return next(
        (
            file
            for file in sorted(formats.FILES | {"zip": None}, key=len, reverse=True)
            if name.endswith(f".{file}")
        ),
        "",
    )


def dataset_or_error(start: str, project: str = "") -> Dataset:
    """The dataset whose id begins so. Raises CommandError for none, and for several."""
    matching = Dataset.objects.filter(digest__startswith=start).select_related("project")
    if project:
        matching = matching.filter(project=project_or_error(project))
    matching = list(matching.order_by("project__slug"))
    if not matching:
        raise CommandError(f"No dataset begins with {start}.")
    if len({dataset.digest for dataset in matching}) > 1:
        raise CommandError(f"Several datasets begin with {start}: write more of the id.")
    if len(matching) > 1:
        slugs = ", ".join(dataset.project.slug for dataset in matching)
        raise CommandError(f"Several projects hold this dataset: add --project, one of {slugs}.")
    return matching[0]
