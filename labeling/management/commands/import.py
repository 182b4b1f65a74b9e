"""`manage.py import FILE --project SLUG …`: prompts, answers and judgments from a file."""

from __future__ import annotations

import shlex
from pathlib import Path

from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling import imports
from labeling.imports import mapping, sources
from labeling.management.project import project_or_error
from labeling.models import Prompt
from modelops import recipes
from modelops.jobs import JobFailed
from modelops.recipes import ImportRecipe
from people.limited import LimitReached
from people.models import Project

SWITCHES = ("repair", "controls", "spaces", "personal", "prefixes", "near", "languages")
LIMITS = ("per_author", "fewest_tokens", "most_tokens")


class Command(BaseCommand):
    # The other checks load every page, which takes half a second.
    requires_system_checks = (Tags.database,)
    help = (
        "Import prompts, with the answers and rankings that the file holds. With one bad line, "
        "nothing is imported."
    )
    last_reason = ""

    def add_arguments(self, parser: CommandParser) -> None:
        helps = {
            name: field.metadata["help"]
            for name, field in ImportRecipe.__dataclass_fields__.items()
        }
        parser.add_argument("file", type=Path, help="a file, or a folder of files of one format")
        parser.add_argument(
            "--project", required=True, metavar="SLUG", help="the project's short name"
        )
        parser.add_argument(
            "--format",
            choices=imports.FORMATS,
            help="what a line of the file holds; without it, what it looks like",
        )
        parser.add_argument(
            "--mapping",
            type=Path,
            metavar="FILE",
            help="a TOML file that says which field of a row is what, in place of a format",
        )
        for name in ("leave_out", "keep"):
            parser.add_argument(
                f"--{name.replace('_', '-')}",
                nargs="+",
                action="extend",
                default=[],
                metavar="FIELD",
                help=helps[name],
            )
        parser.add_argument("--split", choices=Prompt.Split.values, default="", help=helps["split"])
        parser.add_argument("--dry-run", action="store_true", help=helps["dry_run"])
        parser.add_argument(
            "--skip-bad",
            type=Path,
            metavar="FILE",
            help="leave bad rows out and write them to FILE",
        )
        parser.add_argument("--no-cleaning", action="store_true", help="take every text as it is")
        for name in SWITCHES:
            parser.add_argument(
                f"--no-{name}", dest=name, action="store_false", help=f"not: {helps[name]}"
            )
        parser.add_argument(
            "--clean-answers", dest="answers", action="store_true", help=helps["answers"]
        )
        for name in LIMITS:
            parser.add_argument(f"--{name.replace('_', '-')}", type=int, help=helps[name])

    def handle(self, *, file: Path, project: str, **options) -> None:
        if not file.exists():
            raise CommandError(f"There is no file {file}.")
        target_project = project_or_error(project)
        try:
            settings = chosen(options) | how(file, options)
            self.say_codes(recipes.read("import", settings))
            verb = self.look if options.get("dry_run") else self.take
            verb(target_project, file, options.get("skip_bad"), settings)
        except imports.UnreadFields as error:
            raise CommandError(f"{error}\nUse --leave-out FIELD … and --keep FIELD …") from None
        except (
            imports.BadFile,
            JobFailed,
            mapping.BadMapping,
            recipes.InvalidRecipe,
        ) as error:
            raise CommandError(str(error)) from None
        except LimitReached as error:
            raise CommandError(
                f"The file was not read to its end: {error}. Nothing was imported. "
                "PODIUM_READ_MEMORY and PODIUM_READ_SECONDS are the limits."
            ) from None

    def take(self, project: Project, file: Path, skip_bad: Path | None, settings: dict) -> None:
        tally = imports.import_file(
            None, project, file, skip_bad=skip_bad, wait=self.say_once, **settings
        )
        self.write_report(vars(tally), "added", "skipped")

    def say_once(self, why: str) -> None:
        """What the import waits for, where that has changed."""
        if why and why != self.last_reason:
            self.stdout.write(f"{why} …")
        self.last_reason = why

    def look(self, project: Project, file: Path, skip_bad: Path | None, settings: dict) -> None:
        recipe = recipes.read("import", settings | {"filename": file.name})
        report = imports.check(project, file, recipe, bad_rows=skip_bad)
        self.write_report(report, "would be added", "skipped")
        for line, reason in report["bad_lines"]:
            self.stdout.write(f"line {line}: {reason}")
        if report["unread"]:
            self.stdout.write(
                "Nothing reads these fields; use --leave-out or --keep: "
                + " ".join(map(shlex.quote, report["unread"]))
            )

    def say_codes(self, recipe: ImportRecipe) -> None:
        """What each code of a winner is taken for, before it is used."""
        for verdict in sources.verdicts(sources.source_of(recipe).mapping):
            meanings = ", ".join(
                f"{code} = {sources.MEANINGS[meaning]}" for code, meaning in verdict.meanings
            )
            self.stdout.write(f"{verdict.path}: {meanings}" if verdict.path else meanings)

    def write_report(self, report: dict, added: str, skipped: str) -> None:
        self.stdout.write(
            f"{report['prompts']} prompts {added}, {report['duplicates']} duplicates {skipped}, "
            f"{report['answers']} answers, {report['rankings']} rankings."
        )
        for kind, count in report["judge_kinds"].items():
            self.stdout.write(f"rankings by judges of kind {kind}: {count}")
        if report["other_kinds"]:
            self.stdout.write(
                f"{report['other_kinds']} rankings are by judges that were said to be of another "
                "kind before; that stays."
            )
        if report["known"]:
            self.stdout.write(f"{report['known']} rows were here already.")
        if report["bad"]:
            pictures = (
                f" {report['pictures']} of them hold a picture." if report["pictures"] else ""
            )
            self.stdout.write(f"{report['bad']} bad rows.{pictures}")
        for step, count in report["cleaned"].items():
            self.stdout.write(f"{step}: {count}")


def how(file: Path, options: dict) -> dict:
    """What reads the file: a mapping, or the format that was named or that it looks like."""
    fields = {name: options.get(name) or [] for name in ("leave_out", "keep")}
    if options.get("mapping"):
        if options.get("format"):
            raise CommandError("Name a format or a mapping, not both.")
        loaded = mapping.load(options["mapping"])
        return fields | {"format": recipes.BY_MAPPING, "mapping": loaded.as_dict()}
    return fields | {"format": options.get("format") or imports.recognise(file) or "prompts"}


def chosen(options: dict) -> dict:
    """The settings of the recipe that were given on the command line."""
    if options.get("no_cleaning"):
        switches = dict.fromkeys(SWITCHES, False) | {"per_author": 0}
    else:
        switches = {name: options[name] for name in SWITCHES if options.get(name) is False}
    limits = {name: options[name] for name in LIMITS if options.get(name) is not None}
    return (
        switches
        | limits
        | {"split": options.get("split") or "", "answers": bool(options.get("answers"))}
    )
