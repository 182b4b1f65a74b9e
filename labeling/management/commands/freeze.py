"""`manage.py freeze --project SLUG …`: a dataset of what was judged or written."""

from __future__ import annotations

import dataclasses

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.timezone import now

from labeling.exports import freeze
from labeling.management.project import project_or_error
from modelops.jobs import JobFailed
from modelops.recipes import FreezeRecipe, InvalidRecipe
from people.models import User

SEVERAL = {"models": "NAME", "without": "E-MAIL", "judges": "KIND"}


class Command(BaseCommand):
    help = "Freeze what has been judged or written so far as a dataset, and print its id."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--project", required=True, metavar="SLUG", help="the project's short name"
        )
        for field in dataclasses.fields(FreezeRecipe):
            if field.name != "replaces":  # asked for by an erasure only
                parser.add_argument(option(field), **argument(field))

    def handle(self, *, project: str, **options) -> None:
        chosen = {
            field.name: options[field.name]
            for field in dataclasses.fields(FreezeRecipe)
            if field.name in options
        }
        for name in ("models", "judges"):
            chosen[name] = "\n".join(chosen[name])
        chosen["without"] = "\n".join(str(account(email).pk) for email in chosen["without"])
        started = now()
        try:
            dataset = freeze.freeze_now(None, project_or_error(project), **chosen)
        except (JobFailed, InvalidRecipe) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(dataset.digest)
        self.stderr.write(f"{dataset.counts['rows']} rows, {dataset.counts['pairs']} pairs.")
        if dataset.created_at < started:
            self.stderr.write(
                f"The same rows were frozen before ({dataset.created_at:%Y-%m-%d}): it is the same "
                f"dataset. Note: {dataset.note or 'none'}. Licence: {dataset.licence or 'none'}."
            )


def option(field: dataclasses.Field) -> str:
    """--use-case; a switch that is on is turned off: --no-ties."""
    off = "no-" if field.type == "bool" and field.default else ""
    return f"--{off}{field.name.replace('_', '-')}"


def argument(field: dataclasses.Field) -> dict:
    about = {"help": field.metadata["help"].replace("%", "%%"), "default": field.default}
    if field.name in SEVERAL:
        return about | {
            "nargs": "*",
            "default": [],
            "metavar": SEVERAL[field.name],
        }
    if field.type == "bool" and field.default:
        return about | {
            "action": "store_false",
            "dest": field.name,
            "help": f"Without this: {about['help']}",
        }
    if field.type == "bool":
        return about | {"action": "store_true"}
    if field.metadata["choices"]:
        return about | {"choices": field.metadata["choices"]}
    return about | {"type": float if field.type == "float" else str}


def account(email: str) -> User:
    user = User.objects.filter(email=email.lower()).first()
    if user is None:
        raise CommandError(f"There is no account {email}.")
    return user
