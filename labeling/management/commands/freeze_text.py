"""`manage.py freeze_text FILE --project SLUG`: a dataset of plain texts."""

from __future__ import annotations

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling.exports.text_splits import TextSplits
from labeling.management.project import project_or_error
from modelops import plain_text


class Command(BaseCommand):
    help = (
        'Register a file of {"text": …} lines as a dataset for fine-tuning on plain text, and '
        "print its id."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--project", required=True, metavar="SLUG", help="the project's short name"
        )
        parser.add_argument("--note", default="", help="a line to remember the dataset by")

    def handle(self, *, file: Path, project: str, note: str, **_) -> None:
        if not file.is_file():
            raise CommandError(f"There is no file {file}.")
        try:
            target_project = project_or_error(project)
            dataset = plain_text.freeze(
                None, target_project, file, TextSplits(target_project).of, note
            )
        except (plain_text.BadTexts, UnicodeDecodeError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(dataset.digest)
        self.stderr.write(f"{dataset.counts['rows']} rows.")
        other, moved = plain_text.split_otherwise(dataset)
        if other:
            self.stderr.write(
                f"Dataset {other.short} holds the same texts, {moved} of them in another split: "
                "it was frozen before this project knew them as prompts, or by the rule of an "
                "earlier Podium. Train on the new one."
            )
