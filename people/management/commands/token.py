"""`manage.py token EMAIL`: create an API token."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError, CommandParser

from people import tokens
from people.models import Token, User


class Command(BaseCommand):
    help = "Create an API token for a user and print it. It is not shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="made at the command line")
        parser.add_argument(
            "--scope",
            action="append",
            choices=Token.Scope.values,
            help="Can be repeated.",
        )
        parser.add_argument("--days", type=int, default=90, choices=range(1, 367), metavar="1…366")

    def handle(self, email: str, name: str, scope: list[str] | None, days: int, **_options) -> None:
        person = User.objects.filter(email__iexact=email, state__in=User.LET_IN).first()
        if person is None:
            raise CommandError(f"No active account has the e-mail {email}.")
        self.stdout.write(tokens.make(person, name, scope or [Token.Scope.READ], days)[1])
