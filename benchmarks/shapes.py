"""Files in the shapes of public sets and tools, by each way in, held against their right results.

Each file of the folder that `shapes.json` knows comes into an empty project of its own, by the
page, by the command and by the API. What came in is written in a few letters and held against the
file's right result, or one of its right results.

    python benchmarks/shapes.py --data FOLDER --json figures.json

A prompt is written as its turns, each with the number of its characters that are no space: `s15 u9`
is a system turn and a user's, `a0*` an answer that calls a tool. A task is its answers and the
ranks of each judgment, in the order of the file: `a6 a5: 1 2 / 2 1`.

A result is wrong in silence if it is wrong while no row was bad that should not be, nothing was
refused, and no field was named that stays behind.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.person import read_page  # noqa: E402

EXPECTED = Path(__file__).with_suffix(".json")
OWNER = "owner@example.org"
LETTERS = {"system": "s", "developer": "s", "user": "u", "assistant": "a", "tool": "t"}
# Ways that take a file as it is: a person who has read what cleaning does may switch it off.
CLEANING = ("repair", "controls", "spaces", "personal", "prefixes", "near", "languages")


@dataclass
class Outcome:
    """What one way made of a file."""

    came_in: dict[str, Any] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)  # the reason of each bad row, by its place
    refused: str = ""
    stays_behind: list[str] = field(default_factory=list)  # fields that were named and left out

    def differs(self, expected: dict[str, Any]) -> list[str]:
        """What is not as expected, in words; nothing else of what came in is looked at."""
        wanted = {"tasks": [], "unjudged": [], "demonstrations": []} | expected
        reasons = wanted.pop("bad", {})
        found = [
            f"{name} {self.came_in.get(name)}, not {value}"
            for name, value in wanted.items()
            if self.came_in.get(name) != value
        ]
        if self.bad.keys() != reasons.keys():
            found.append(f"bad rows {sorted(self.bad)}, not {sorted(reasons)}")
        found += [
            f"row {place} is bad because: {self.bad[place]}"
            for place, part in reasons.items()
            if place in self.bad and part not in self.bad[place]
        ]
        return [f"refused: {self.refused}", *found] if self.refused and found else found

    def is_silent(self, expected: dict[str, Any]) -> bool:
        """Whether nothing says that something is missing."""
        surprising = self.bad.keys() - expected.get("bad", {}).keys()
        return not (self.refused or surprising or self.stays_behind)


def main() -> None:
    options = arguments()
    paths = files(options.data)
    with tempfile.TemporaryDirectory(prefix="podium-shapes-") as scratch:
        begin(Path(scratch))
        results = [judged(file, options.ways) for file in paths]
    figures = {
        "files": len(results),
        "files_right": sum(result == "right" for result in results),
        "files_wrong_in_silence": sum(result == "silent" for result in results),
    }
    for name, value in figures.items():
        print(f"{name:32}{value:10}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    sys.exit(figures["files_right"] < figures["files"])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with the files")
    parser.add_argument(
        "--ways", nargs="+", choices=WAYS, default=list(WAYS), help="how the files come in"
    )
    parser.add_argument("--quick", action="store_true", help="by the command alone")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    if options.quick:
        options.ways = ["command"]
    return options


def begin(var: Path) -> None:
    """A fresh database in a folder of its own, with somebody who owns its projects."""
    os.environ |= {
        "PODIUM_VAR": str(var),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": "",
    }
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    settings.ALLOWED_HOSTS = ["testserver"]
    settings.SECURE_SSL_REDIRECT = False
    settings.STORAGES["staticfiles"] = {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
    }
    logging.disable(logging.WARNING)  # no broker runs, and refusals are what is looked for
    call_command("migrate", verbosity=0)
    from people.models import User

    User.objects.create_user(OWNER, None, name="Owner")


def files(folder: Path) -> list[Path]:
    """The known files, wherever in the folder they lie."""
    known = json.loads(EXPECTED.read_text(encoding="utf-8"))
    found = {path.name: path for path in sorted(folder.rglob("*"))}
    if missing := known.keys() - found.keys():
        raise SystemExit(f"The folder lacks {', '.join(sorted(missing))}.")
    return [found[name] for name in known]


def judged(file: Path, ways: list[str]) -> str:
    """Hold a file's results against the right one; print what differs.

    Returns the worst that a way made of it: "silent", "wrong" or "right".
    """
    found = json.loads(EXPECTED.read_text(encoding="utf-8"))[file.name]
    right_results = found if isinstance(found, list) else [found]
    verdicts = Counter()
    for way in ways:
        outcome = WAYS[way](file, new_project(f"{way} {file.name}"))
        differences = min((outcome.differs(one) for one in right_results), key=len)
        silent = all(outcome.is_silent(one) for one in right_results)
        verdict = "right" if not differences else "silent" if silent else "wrong"
        verdicts[verdict] += 1
        if outcome.stays_behind:
            differences.append(f"stays behind: {', '.join(outcome.stays_behind)}")
        print(f"{file.name:34}{way:9}{verdict:8}{'; '.join(differences)}", flush=True)
    return next(verdict for verdict in ("silent", "wrong", "right") if verdicts[verdict])


def new_project(name: str) -> Any:
    from labeling import project_settings
    from people.models import Membership, User

    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50]
    project = project_settings.make(slug=slug, name=slug)
    Membership.objects.create(project=project, user=User.objects.get(email=OWNER), role="admin")
    return project


# The ways in


def by_command(file: Path, project: Any) -> Outcome:
    """`manage.py import FILE --skip-bad FILE`, and once more with the fields that it names."""
    from django.conf import settings
    from django.core.management import CommandError, call_command

    bad = settings.VAR / f"{project.slug}-bad.jsonl"
    outcome = Outcome()
    said = {"project": project.slug, "no_cleaning": True, "skip_bad": bad, "stdout": StringIO()}
    try:
        try:
            call_command("import", str(file), **said)
        except CommandError as error:
            outcome.stays_behind = named_fields(error)
            if not outcome.stays_behind:
                raise
            call_command("import", str(file), **said, leave_out=outcome.stays_behind)
    except CommandError as error:
        outcome.refused = str(error)
    if bad.is_file():
        rows = map(json.loads, bad.read_text(encoding="utf-8").splitlines())
        outcome.bad = {str(row["line"]): row["reason"] for row in rows}
    outcome.came_in = came_in(project)
    return outcome


def named_fields(error: Exception) -> list[str]:
    """The fields that a refusal names: those of the error that the command has put into words."""
    return [field.path for field in getattr(error.__context__, "fields", [])]


def by_api(file: Path, project: Any) -> Outcome:
    """POST imports, look at it, POST imports/ID/confirm; once more with the fields it names."""
    client, at = logged_in(), f"/api/v1/projects/{project.slug}/imports"
    with open(file, "rb") as content:
        response = client.post(at, {"file": content})
    if response.status_code != 202:
        return Outcome(refused=refusal(response))
    check = work()
    recipe = dict.fromkeys(CLEANING, False) | {"skip_bad": True}
    address = f"{at}/{check.pk}/confirm"
    outcome = Outcome()
    response = client.post(address, recipe, content_type="application/json")
    if response.status_code == 422:
        outcome.stays_behind = unread_fields(response.json())
        recipe |= {"leave_out": outcome.stays_behind}
        response = client.post(address, recipe, content_type="application/json")
    return confirmed(outcome, project, response.status_code == 202, response)


def unread_fields(body: dict) -> list[str]:
    """The fields of the file that a 422 of the API names."""
    named = [error["field"] for error in body.get("errors", [])]
    return [name.removeprefix("unread.") for name in named if name.startswith("unread.")]


def by_page(file: Path, project: Any) -> Outcome:
    """Upload on the page, and send its second form back as it stands, without cleaning."""
    client, at = logged_in(), f"/p/{project.slug}/prompts/upload"
    upload = form_of(client.get(at))
    with open(file, "rb") as content:
        response = client.post(at, upload | {"file": content})
    if response.status_code != 302:
        return Outcome(refused=refusal(response))
    work()
    address = response.url
    values = form_of(client.get(address))
    for name in CLEANING:
        values.pop(name, None)
    for button in ("look", "check", "save"):
        values.pop(button, None)
    values |= {"skip_bad": "on"}
    outcome = Outcome()
    response = client.post(address, values)
    if response.status_code == 422:
        outcome.stays_behind = undecided(response)
        response = client.post(address, values | {"rest": "leave_out"})
    return confirmed(outcome, project, response.status_code == 302, response)


def undecided(response: Any) -> list[str]:
    """The fields of the file that the page marks: somebody has to say what becomes of them."""
    page = response.content.decode()
    marked = re.findall(r'class="undecided".*?<code>(.*?)</code>', page, re.DOTALL)
    return list(map(unescape, marked))


def form_of(response: Any) -> dict:
    """The page's largest form, as it is shown."""
    forms = read_page(response.content.decode()).forms
    fields = max(forms, key=lambda form: len(form.fields)).fields
    return {name: value for name, value in fields.items() if value is not None}


def logged_in() -> Any:
    from django.test import Client

    from people.models import User

    client = Client()
    client.force_login(User.objects.get(email=OWNER))
    return client


def work() -> Any:
    """Do what a worker does with the job that was asked for last."""
    from modelops import jobs
    from modelops.models import Job
    from workers import dataset_jobs

    job = jobs.claim(Job.objects.latest("pk").pk, {Job.Kind.IMPORT})
    try:
        with jobs.running(job):
            dataset_jobs.run(job)
    except jobs.JobFailed:
        pass  # its error says why
    job.refresh_from_db()
    return job


def confirmed(outcome: Outcome, project: Any, accepted: bool, response: Any) -> Outcome:
    from django.conf import settings

    from labeling import imports

    if not accepted:
        outcome.refused = refusal(response)
    else:
        job = work()
        outcome.refused = job.error if job.state == job.State.FAILED else ""
        bad = imports.bad_rows_of(settings.VAR / job.recipe["path"], job.pk)
        if bad.is_file():
            rows = map(json.loads, bad.read_text(encoding="utf-8").splitlines())
            outcome.bad = {str(row["line"]): row["reason"] for row in rows}
    outcome.came_in = came_in(project)
    return outcome


def refusal(response: Any) -> str:
    """What a page or the API says of a refusal, in one line."""
    text = response.content.decode()
    alerts = re.findall(r'role="alert">(.*?)</div>', text, re.DOTALL)
    plain = re.sub(r"<[^>]*>", " ", " ".join(alerts) if alerts else text)
    return unescape(" ".join(plain.split()))[:300]


WAYS: dict[str, Callable[[Path, Any], Outcome]] = {
    "command": by_command,
    "api": by_api,
    "page": by_page,
}


# What came in


def came_in(project: Any) -> dict[str, Any]:
    """The published content of a project in a few letters."""
    from labeling.models import Candidate, Demonstration, Judge, Prompt, Ranking, RankingTask

    prompts = Prompt.objects.filter(project=project, published=True).order_by("pk")
    rankings = Ranking.objects.filter(task__project=project, current=True).order_by("pk")
    tasks = RankingTask.objects.filter(project=project).order_by("pk")
    candidates = Candidate.objects.filter(prompt__project=project)
    judges = Judge.objects.filter(pk__in=rankings.values("judge"))
    written = Demonstration.objects.filter(prompt__project=project).order_by("pk")
    return {
        "prompts": [" ".join(map(turn, prompt.messages)) for prompt in prompts],
        "tasks": [
            judged_task(task, list(rankings.filter(task=task)))
            for task in tasks
            if rankings.filter(task=task).exists()
        ],
        "unjudged": [
            " ".join(map(answer, answers_of(task)))
            for task in tasks
            if not rankings.filter(task=task).exists()
        ],
        "demonstrations": [f"a{length(one.text)}" for one in written],
        "models": distinct(candidates.values_list("model_version__name", flat=True)),
        "judges": distinct(judge.name for judge in judges),
        "kinds": distinct(judge.kind for judge in judges),
        "languages": distinct(prompt.language for prompt in prompts if prompt.language),
        "splits": distinct(prompt.split for prompt in prompts),
    }


def distinct(values: Any) -> list:
    return sorted(set(values))


def length(text: str) -> int:
    """Characters that are no space: how parts are joined makes no difference."""
    return sum(not character.isspace() for character in text)


def turn(message: dict) -> str:
    content = message["content"]
    parts = [content] if isinstance(content, str) else [part["text"] for part in content]
    calls = "*" if message.get("tool_calls") else ""
    return f"{LETTERS[message['role']]}{sum(map(length, parts))}{calls}"


def answer(candidate: Any) -> str:
    if candidate.messages:
        return "+".join(map(turn, candidate.messages))
    return f"a{length(candidate.text)}"


def answers_of(task: Any) -> list:
    return list(task.candidates.order_by("slot"))


def judged_task(task: Any, rankings: list) -> str:
    candidates = answers_of(task)
    verdicts = " / ".join(verdict(ranking, candidates) for ranking in rankings)
    return f"{' '.join(map(answer, candidates))}: {verdicts}"


def verdict(ranking: Any, candidates: list) -> str:
    if ranking.outcome != ranking.Outcome.RANKED:
        return ranking.outcome.replace("_", " ")
    ranks = {place.candidate_id: place.rank for place in ranking.ranked.all()}
    written = " ".join(str(ranks[candidate.pk]) for candidate in candidates)
    return written if ranking.strength is None else f"{written} strength {ranking.strength}"


if __name__ == "__main__":
    main()
