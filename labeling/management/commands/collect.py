"""`manage.py collect`: delete from the store what no row refers to."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat

from labeling import retention
from modelops import store


class Command(BaseCommand):
    help = (
        "Delete from the store what no dataset, model version or recent import refers to and was "
        "stored more than a day ago. The hourly clean-up waits for PODIUM_KEEP_DAYS."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only list it, with sizes")

    def handle(self, **options) -> None:
        try:
            listed = retention.uncollected()
            if not options["dry_run"]:
                listed = retention.collect(listed)
        except store.StoreFault as error:
            raise CommandError(str(error)) from error
        for stored in listed:
            self.stdout.write(f"{stored.digest}  {filesizeformat(stored.size)}")
        total = filesizeformat(sum(stored.size for stored in listed))
        done = "would be deleted" if options["dry_run"] else "deleted"
        self.stdout.write(f"{len(listed)} entries, {total}, {done}.")
