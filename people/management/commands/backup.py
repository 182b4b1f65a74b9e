"""`manage.py backup`: write all data of an installation to one file."""

from __future__ import annotations

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from people import backups


class Command(BaseCommand):
    help = (
        "Write the database, datasets, models (including the default one), uploads and the secret "
        "key to one .tar file, by default in backups/ in the data folder. Podium may be running."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="the .tar file to write")
        parser.add_argument(
            "--database-only",
            action="store_true",
            help="without the files; quick, for use before a migration",
        )

    def handle(self, *, file: Path | None, database_only: bool, **options) -> None:
        file = file or backups.default_file("database" if database_only else "podium")
        try:
            written = backups.write(file, database_only)
        except backups.BackupFailed as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Backed up to {file} ({file.stat().st_size / 2**20:.1f} MB).")
        if written.elsewhere:
            self.stdout.write(
                "PODIUM_STORE is outside of the data folder, and not in this backup: back it up by "
                f"its own means (datasets and models in it: {written.elsewhere})."
            )
        if written.missing:
            raise CommandError(
                f"The backup lacks what is gone from the data folder: {', '.join(written.missing)}."
            )
