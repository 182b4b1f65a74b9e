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

    def handle(self, *, file: Path, **options) -> None:
        try:
            aside = backups.restore(file)
        except backups.BackupFailed as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Restored {file}. The replaced data is in {aside}; delete it once you have checked."
        )
