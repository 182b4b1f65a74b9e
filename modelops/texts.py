"""Plain texts as a frozen dataset, for fine-tuning on them as they are."""

from __future__ import annotations

import json
from pathlib import Path

from django.db import transaction

from modelops import datasets, rows
from modelops.models import Dataset
from people import audit
from people.models import Project, User


class BadTexts(ValueError):
    """A line of the file holds no text, or none does."""


def freeze(actor: User | None, project: Project, file: Path, note: str = "") -> Dataset:
    """Register a file of {"text": …} lines as a dataset; the same lines give the same one. Raises BadTexts."""
    digest, folder = datasets.write((rows.canonical(row) for row in _rows(file)), Dataset.Kind.TEXT)
    with transaction.atomic():
        dataset, new = datasets.register(project, Dataset.Kind.TEXT, digest, folder, note=note)
        if new:
            audit.record(actor, "freeze text", dataset, project)
    return dataset


def _rows(file: Path) -> list[dict]:
    """All of them, read before the first is written. Raises BadTexts."""
    with open(file, encoding="utf-8") as lines:
        found = [_row(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not found:
        raise BadTexts(f"{file.name} has no lines: write one for each text.")
    return found


def _row(number: int, line: str) -> dict:
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError):
        text = None
    if not isinstance(text, str) or not text.strip():
        raise BadTexts(f'Line {number} is not {{"text": "…"}} with some text in it: correct it, then start again.')
    return rows.text_row(text)
