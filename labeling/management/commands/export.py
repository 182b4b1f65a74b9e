"""manage.py export DATASET --format FORMAT --output FILE"""

import sys
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from labeling import export
from labeling.models import Prompt
from modelops import datasets
from modelops.models import Dataset


class Command(BaseCommand):
    help = "Write a frozen dataset to a file, in one of the formats of its download page."

    def add_arguments(self, parser):
        parser.add_argument("dataset", help="the dataset's id, or how it begins")
        parser.add_argument(
            "--format", choices=export.FORMATS, default="jsonl", help="jsonl and parquet: pairs; rows: as frozen"
        )
        parser.add_argument("--split", choices=Prompt.Split.values, default="", help="only this split")
        parser.add_argument("--output", type=Path, help="the file to write; without it, the standard output")

    def handle(self, *, dataset: str, format: str, split: str, output: Path | None, **_):
        found = one(dataset)
        if format not in export.formats_of(found):
            raise CommandError(f"Dataset {found.short} holds {found.kind}: take it as rows.")
        try:
            datasets.verify(found)
        except datasets.Withheld as error:
            raise CommandError(str(error)) from None
        chunks = export.FORMATS[format].make(datasets.path(found), split)
        if output is None:
            sys.stdout.buffer.writelines(chunks)
        else:
            with open(output, "wb") as out:
                out.writelines(chunks)


def one(start: str) -> Dataset:
    found = list(Dataset.objects.filter(digest__startswith=start)[:2])
    if len(found) != 1:
        raise CommandError(f"{'Several datasets begin' if found else 'No dataset begins'} with {start}.")
    return found[0]
