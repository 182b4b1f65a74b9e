"""Templates: a text with named slots becomes one prompt for each row of a table."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from string import Formatter
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from labeling import imports
from labeling.imports import files
from labeling.imports.reading import chunks
from labeling.models import Prompt, PromptTemplate, TemplateRow
from labeling.text.conversations import clean, storable
from modelops.rows import digest
from people import audit
from people.access import Refused
from people.models import Project, User

MOST = 10_000  # rows at once
KNOWN = (
    "author",
    "use_case",
    "language",
    "split",
)  # columns that say something of the prompt, where no slot is so called
AS_TYPED = dict.fromkeys(
    ("repair", "controls", "spaces", "personal", "prefixes", "near"), False
)  # they are alike by intent


class BadRow(ValueError):
    """The row can't fill the template; the text says why."""


@dataclass
class Filled:
    """What rows make of a template."""

    prompts: list[tuple[int, str, dict]] = field(default_factory=list)  # place, text, row
    refused: list[tuple[int, str]] = field(default_factory=list)  # place, reason
    new: int = 0


def slots(text: str) -> list[str]:
    """The names of its slots, in the order of the text; {{ and }} stand for braces.

    Raises Refused.
    """
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise Refused(
            _("A brace is not closed, or not opened: write {{ and }} for braces."), "text"
        ) from error
    named = [(name, spec, way) for _said, name, spec, way in parts if name is not None]
    for name, spec, way in named:
        if not name.isidentifier() or spec or way:
            raise Refused(
                _("“{%(name)s}” is no slot: a name of letters, digits and _.") % {"name": name},
                "text",
            )
    if not named:
        raise Refused(_("It has no slot: write one as {title}."), "text")
    return list(dict.fromkeys(name for name, _spec, _way in named))


@transaction.atomic
def create(actor: User, project: Project, name: str, text: str) -> PromptTemplate:
    """A new template. Raises Refused at its name or its text."""
    text = clean(text)
    slots(text)
    if PromptTemplate.objects.filter(project=project, name=name).exists():
        raise Refused(_("There is a template of this name already."), "name")
    template = PromptTemplate.objects.create(
        project=project, name=name, text=text, created_by=actor
    )
    audit.record(actor, "create template", template, project, name=name)
    return template


@transaction.atomic
def delete(actor: User, template: PromptTemplate) -> None:
    """Raises Refused once prompts were made of it."""
    if template.rows.exists():
        raise Refused(_("Prompts were made of it: it stays, so that they can be led back to it."))
    audit.record(actor, "delete template", template, template.project, name=template.name)
    template.delete()


# Filling


def table(content: bytes) -> list[Any]:
    """The rows of a table of any kind that an upload may be: CSV with a header, JSON Lines,
    Parquet. Raises Refused.
    """
    settings.VAR.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=settings.VAR) as file:
        file.write(content)
        file.flush()
        found = list(islice(files.rows(Path(file.name)), MOST + 1))
    if len(found) > MOST:
        raise Refused(_("At most %(n)s rows at once.") % {"n": f"{MOST:,}"}, "table")
    if not found:
        raise Refused(_("It holds no row below its header."), "table")
    if broken := next((row for row in found if row.error), None):
        raise Refused(
            _("Row %(place)s: %(why)s") % {"place": broken.place, "why": broken.error}, "table"
        )
    return [row.value for row in found]


def fill(template: PromptTemplate, rows: Iterable[Any]) -> Filled:
    """What the rows would make; those that leave a slot empty are refused, each with its place from
    1.
    """
    found, wanted = Filled(), slots(template.text)
    for place, row in enumerate(rows, start=1):
        try:
            found.prompts.append((place, _filled(template.text, wanted, row), row))
        except BadRow as why:
            found.refused.append((place, str(why)))
    return found


def _filled(text: str, wanted: list[str], row: Any) -> str:
    if not isinstance(row, dict):
        raise BadRow(_("is not a row with named columns"))
    values = {name: said(row.get(name)) for name in wanted}
    if empty := [name for name, value in values.items() if not value]:
        raise BadRow(_("leaves empty: %(names)s") % {"names": ", ".join(empty)})
    return text.format_map(values)


def said(value: Any) -> str:
    if value is None or isinstance(value, str):
        return (value or "").strip()
    return json.dumps(value, ensure_ascii=False)


def make(
    actor: User | None, template: PromptTemplate, rows: Iterable[Any], split: str = ""
) -> Filled:
    """Add the prompts that the rows make; each is led back to its row. The same rows again add
    nothing.

    `split`: of rows that name none; without it, that of their author or their content. Raises
    jobs.JobFailed.
    """
    found, wanted = fill(template, rows), slots(template.text)
    known = [name for name in KNOWN if name not in wanted]
    entries = [
        {"prompt": text, "source": template.name}
        | {name: said(row[name]) for name in known if row.get(name)}
        for _place, text, row in found.prompts
    ]
    if entries:
        name = {"filename": template.name, "split": split}
        tally, refused = imports.add(actor, template.project, entries, **AS_TYPED, **name)
        places = [place for place, _text, _row in found.prompts]
        found.refused += [(places[one["row"]], one["detail"]) for one in refused]
        found.new = tally.prompts
        lead_back(template, found, wanted)
    return found


def lead_back(template: PromptTemplate, found: Filled, wanted: list[str]) -> None:
    """Remember which row each prompt came of; one that was here before keeps what it came from."""
    by_digest = {digest_of(text): (place, row) for place, text, row in reversed(found.prompts)}
    ours = Prompt.objects.filter(
        project=template.project, published=True, source=template.name, filled=None
    )
    pks = {}
    for some in chunks(by_digest, 500):
        pks |= dict(ours.filter(digest__in=some).values_list("digest", "pk"))
    made = []
    for key, pk in pks.items():
        place, row = by_digest[key]
        values = {name: said(row[name]) for name in wanted}
        made.append(TemplateRow(template=template, prompt_id=pk, place=place, values=values))
    TemplateRow.objects.bulk_create(made, batch_size=500, ignore_conflicts=True)


def digest_of(text: str) -> str:
    return digest([{"role": "user", "content": storable(text)}])
