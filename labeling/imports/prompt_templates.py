"""Prompt templates: a text with named slots becomes one prompt for each row of a table."""

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
    """The row cannot fill the template; the message says why."""


@dataclass
class Filled:
    """What the rows make of a template."""

    prompts: list[tuple[int, str, dict]] = field(default_factory=list)  # place, text, row
    refused: list[tuple[int, str]] = field(default_factory=list)  # place, reason
    new: int = 0


def slots(text: str) -> list[str]:
    """The names of the slots, in the order of the text; {{ and }} stand for braces.

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
    """Create a template. Raises Refused at its name or its text."""
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
    """Delete a template. Raises Refused if prompts were made of it."""
    if template.rows.exists():
        raise Refused(_("Prompts were made from it: it is kept, so that they can be traced to it."))
    audit.record(actor, "delete template", template, template.project, name=template.name)
    template.delete()


# Filling


def table(content: bytes, changes: files.Changes) -> list[Any]:
    """The rows of an uploaded table: a file of any kind. `changes` counts what reading changes.

    Raises Refused.
    """
    settings.VAR.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=settings.VAR) as file:
        file.write(content)
        file.flush()
        rows = _rows(Path(file.name), changes)
    if len(rows) > MOST:
        raise Refused(_("At most %(n)s rows at once.") % {"n": f"{MOST:,}"}, "table")
    if not rows:
        raise Refused(_("It holds no row below its header."), "table")
    if broken := next((row for row in rows if row.error), None):
        raise Refused(
            _("Row %(place)s: %(why)s") % {"place": broken.place, "why": broken.error}, "table"
        )
    return [row.value for row in rows]


def _rows(path: Path, changes: files.Changes) -> list[files.Row]:
    """One more than there may be, at most. Raises Refused."""
    try:
        return list(islice(files.first_rows(path, changes=changes), MOST + 1))
    except files.LimitReached as error:
        raise Refused(_("It can't be read: %(why)s.") % {"why": error}, "table") from error


def fill(template: PromptTemplate, rows: Iterable[Any]) -> Filled:
    """What the rows would make. Rows that leave a slot empty are refused, each with its place from
    1.
    """
    filled, wanted = Filled(), slots(template.text)
    for place, row in enumerate(rows, start=1):
        try:
            filled.prompts.append((place, _filled(template.text, wanted, row), row))
        except BadRow as error:
            filled.refused.append((place, str(error)))
    return filled


def _filled(text: str, wanted: list[str], row: Any) -> str:
    if not isinstance(row, dict):
        raise BadRow(_("is not a row with named columns"))
    values = {name: as_text(row.get(name)) for name in wanted}
    if empty := [name for name, value in values.items() if not value]:
        raise BadRow(_("leaves empty: %(names)s") % {"names": ", ".join(empty)})
    return text.format_map(values)


def as_text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return (value or "").strip()
    return json.dumps(value, ensure_ascii=False)


def make(
    actor: User | None, template: PromptTemplate, rows: Iterable[Any], split: str = ""
) -> Filled:
    """Add the prompts that the rows make, each with a link to its row. The same rows again add
    nothing.

    `split` is for rows that name none; without it, the author or the content decides. Raises
    jobs.JobFailed, and Refused while another import into the project runs.
    """
    filled, wanted = fill(template, rows), slots(template.text)
    known = [name for name in KNOWN if name not in wanted]
    entries = [
        {"prompt": text, "source": template.name}
        | {name: as_text(row[name]) for name in known if row.get(name)}
        for _place, text, row in filled.prompts
    ]
    if entries:
        name = {"filename": template.name, "split": split}
        tally, refused = imports.add(actor, template.project, entries, **AS_TYPED, **name)
        places = [place for place, _text, _row in filled.prompts]
        filled.refused += [(places[row["row"]], row["detail"]) for row in refused]
        filled.new = tally.prompts
        link_rows(template, filled, wanted)
    return filled


def link_rows(template: PromptTemplate, filled: Filled, wanted: list[str]) -> None:
    """Store which row each prompt was made of. A prompt that existed before keeps its origin."""
    by_digest = {digest_of(text): (place, row) for place, text, row in reversed(filled.prompts)}
    ours = Prompt.objects.filter(
        project=template.project, published=True, source=template.name, filled=None
    )
    pks = {}
    for digests in chunks(by_digest, 500):
        pks |= dict(ours.filter(digest__in=digests).values_list("digest", "pk"))
    made = []
    for key, pk in pks.items():
        place, row = by_digest[key]
        values = {name: as_text(row[name]) for name in wanted}
        made.append(TemplateRow(template=template, prompt_id=pk, place=place, values=values))
    TemplateRow.objects.bulk_create(made, batch_size=500, ignore_conflicts=True)


def digest_of(text: str) -> str:
    return digest([{"role": "user", "content": storable(text)}])
