"""`manage.py restore FILE`: restore a backup."""

from __future__ import annotations

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from people import backups


class Command(BaseCommand):
    help = (
        "Restore a backup. The replaced data is moved to another folder. Podium must not be "
        "running."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="a .tar file that `manage.py backup` wrote")
        parser.add_argument(
            "--try",
            action="store_true",
            dest="only_try",
            help="unpack it beside the data, compare its files and open its database; replace "
            "nothing. Podium may be running.",
        )

    def handle(self, *, file: Path, only_try: bool, **options) -> None:
        try:
            if only_try:
                contents = backups.try_out(file)
                rows = f"{sum(contents.tables.values())} rows" if contents.tables else "a database"
                self.stdout.write(f"{file} is whole: {rows} and {len(contents.files)} files.")
                return
            aside = backups.restore(file)
        except backups.BackupFailed as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Restored {file}. The replaced data is in {aside}; delete it once you have checked."
        )
