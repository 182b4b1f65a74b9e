"""Make a token for somebody's scripts."""

from django.core.management.base import BaseCommand, CommandError

from people import tokens
from people.models import Token, User


class Command(BaseCommand):
    help = "Make a token that lets somebody's scripts in, and print it: it is shown this once."

    def add_arguments(self, parser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="made at the command line")
        parser.add_argument(
            "--scope",
            action="append",
            choices=Token.Scope.values,
            help="May be given several times.",
        )
        parser.add_argument("--days", type=int, default=90, choices=range(1, 367), metavar="1…366")

    def handle(self, email: str, name: str, scope: list[str] | None, days: int, **_options) -> None:
        person = User.objects.filter(email__iexact=email, state__in=User.LET_IN).first()
        if person is None:
            raise CommandError(f"There is no active account with the e-mail {email}.")
        self.stdout.write(tokens.make(person, name, scope or [Token.Scope.READ], days)[1])
