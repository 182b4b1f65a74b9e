"""Plain texts as a frozen dataset, for fine-tuning on them as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from django.db import transaction

from modelops import datasets, rows
from modelops.models import Dataset
from people import audit
from people.models import Project, User


class BadTexts(ValueError):
    """A line of the file holds no text, or none does."""


def freeze(
    actor: User | None,
    project: Project,
    file: Path,
    split_of: Callable[[str], str],
    note: str = "",
) -> Dataset:
    """Register a file of {"text": …} lines as a dataset; the same rows give the same one.

    `split_of` says in which split a text belongs, which the project's prompts decide. Raises
    BadTexts.
    """
    lines = [rows.canonical({"text": text, "split": split_of(text)}) for text in _texts(file)]
    digest, place = datasets.write(lines, Dataset.Kind.TEXT)
    with transaction.atomic():
        dataset, new = datasets.register(project, Dataset.Kind.TEXT, digest, place, note=note)
        if new:
            audit.record(actor, "freeze text", dataset, project)
        else:
            datasets.relabel(actor, dataset, note=note)
    return dataset


def split_otherwise(dataset: Dataset) -> tuple[Dataset | None, int]:
    """The project's newest other dataset of the same texts, and how many rows moved."""
    texts = Dataset.objects.filter(project=dataset.project, kind=Dataset.Kind.TEXT)
    others = texts.filter(withdrawn_at=None, counts__rows=dataset.counts["rows"])
    for other in others.exclude(pk=dataset.pk).order_by("-pk"):
        try:
            moved = _moved(dataset, other)
        except (FileNotFoundError, datasets.Withheld):
            continue  # its rows are gone
        if moved is not None:
            return other, moved
    return None, 0


def _moved(dataset: Dataset, other: Dataset) -> int | None:
    """How many rows are in another split; None where the texts are not the same."""
    moved = 0
    for row, before in zip(rows.read(datasets.path(dataset)), rows.read(datasets.path(other))):
        if row["text"] != before["text"]:
            return None
        moved += row["split"] != before["split"]
    return moved


def _texts(file: Path) -> list[str]:
    """All of them, read before the first is written. Raises BadTexts."""
    with open(file, encoding="utf-8") as lines:
        texts = [_text(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not texts:
        raise BadTexts(f"{file.name} has no lines: write one for each text.")
    return texts


def _text(number: int, line: str) -> str:
    try:
        text = json.loads(line)["text"]
        text.encode()  # half a surrogate pair can't be stored
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        text = None
    if not isinstance(text, str) or not text.strip():
        raise BadTexts(
            f'Line {number} is not {{"text": "…"}} with some text in it: correct it, then start '
            "again."
        )
    return text
