"""manage.py import FILE --project SLUG"""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from labeling import imports
from labeling.management.project import project_or_error
from modelops.jobs import JobFailed


class Command(BaseCommand):
    help = "Import prompts, with the answers and rankings that the file holds. With one bad line, nothing is imported."

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path)
        parser.add_argument("--project", required=True, metavar="SLUG", help="the project's short name")
        parser.add_argument(
            "--format", choices=imports.FORMATS, default="prompts", help="what a line of the file holds"
        )

    def handle(self, *, file: Path, project: str, format: str, **_):
        if not file.is_file():
            raise CommandError(f"There is no file {file}.")
        try:
            found = imports.import_file(None, project_or_error(project), file, format)
        except (imports.BadFile, JobFailed) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"{found.prompts} prompts added, {found.duplicates} duplicates skipped, "
            f"{found.answers} answers, {found.rankings} rankings."
        )
