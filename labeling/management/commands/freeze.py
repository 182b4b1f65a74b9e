"""manage.py freeze --project SLUG"""

from django.core.management.base import BaseCommand, CommandError

from labeling import export
from labeling.management.project import project_or_error
from modelops.jobs import JobFailed
from modelops.models import Dataset

JUDGED = [Dataset.Kind.JUDGMENTS.value, Dataset.Kind.DEMONSTRATIONS.value]


class Command(BaseCommand):
    help = "Freeze what has been judged so far as a dataset, and print its id."

    def add_arguments(self, parser):
        parser.add_argument("--project", required=True, metavar="SLUG", help="the project's short name")
        parser.add_argument("--kind", choices=JUDGED, default=Dataset.Kind.JUDGMENTS.value, help="what to freeze")
        parser.add_argument("--note", default="", help="a line to remember the dataset by")

    def handle(self, *, project: str, kind: str, note: str, **_):
        try:
            dataset = export.freeze_now(None, project_or_error(project), kind, note)
        except JobFailed as error:
            raise CommandError(str(error)) from None
        self.stdout.write(dataset.digest)
        self.stderr.write(f"{dataset.counts['rows']} rows, {dataset.counts['pairs']} pairs.")
