"""`manage.py restore FILE`: bring a backup back."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from people import backups


class Command(BaseCommand):
    help = (
        "Put a backup in the place of what is there, which is kept aside. Refuses while Podium "
        "runs."
    )
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path, help="a .tar that `manage.py backup` wrote")

    def handle(self, *, file, **options):
        try:
            aside = backups.restore(file)
        except backups.BackupFailed as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Restored from {file}. What was there lies in {aside}; delete it when all is well."
        )
