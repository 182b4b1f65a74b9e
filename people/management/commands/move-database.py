"""`manage.py move-database URL`: move the SQLite database to an empty PostgreSQL database."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError, CommandParser

from people import backups, moving


class Command(BaseCommand):
    help = (
        "Move the SQLite database to an empty PostgreSQL database, and count the rows of each "
        "table on both sides. The SQLite database is not changed. Podium must not be running."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "url", help="the empty database, like postgres://user:password@host/name"
        )

    def handle(self, *, url: str, **options) -> None:
        total = 0
        try:
            for table, rows in moving.move(url):
                self.stdout.write(f"{table}: {rows} rows, {rows} moved")
                total += rows
        except (moving.MoveFailed, backups.BackupFailed) as error:
            raise CommandError(str(error)) from error
        for table in moving.left_behind():
            self.stderr.write(f"Not moved: table {table}, which Podium does not have.")
        self.stdout.write(
            f"Moved {total} rows. Set DATABASE_URL to the new database and start Podium; the data "
            "folder stays as it is, and its podium.sqlite3 is no longer used."
        )
