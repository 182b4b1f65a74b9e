"""The whole file is read and checked before a row is written. What was read lies on disk, not in
memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

from labeling.imports import files
from labeling.imports.files import Row
from labeling.imports.formats import FORMATS
from labeling.imports.spool import Scratch, Spool
from labeling.models import Prompt
from labeling.text import conversations
from labeling.text.conversations import BadPrompt, Entry
from modelops import rows
from people.models import Project

BATCH = 500
SHOWN = 20  # bad lines named in one message
NAMED = 1000  # kept in memory
Beat = Callable[[int, int], None]  # told how many entries are written, and of how many
BEAT_EVERY = 5_000  # rows read


class BadFile(ValueError):
    """Nothing was imported; `lines` names the bad lines: [(number, reason)], the first NAMED of
    `count`.
    """

    def __init__(self, lines: list[tuple[int | str, str]], count: int = 0):
        self.lines, self.count = lines, max(count, len(lines))
        named = "\n".join(f"line {number}: {reason}" for number, reason in lines[:SHOWN])
        more = f"\n… and {self.count - SHOWN} more" if self.count > SHOWN else ""
        super().__init__(f"{named}{more}\nNothing was imported.")


@dataclass
class Reading:
    """What a file holds: its entries on disk, its bad lines, and in which splits its authors are."""

    entries: Spool = field(default_factory=Spool)
    scratch: Scratch = field(default_factory=Scratch)
    bad: list[tuple[int | str, str]] = field(default_factory=list)
    rows: int = 0
    bad_rows: int = 0

    def refuse(self, row: Row, reason: str, out: TextIO | None) -> None:
        self.bad_rows += 1
        if len(self.bad) < NAMED:
            self.bad.append((row.place, reason))
        if out:
            out.write(_told({"line": row.place, "reason": reason, "row": row.value}))

    def split(self, entry: Entry) -> str:
        """The one that the file or the project knows the author by, else that of the hash."""
        known = entry.split or (entry.author and self.scratch.get("split", entry.author))
        return known or conversations.split_of(entry)


def _told(bad: dict) -> str:
    try:
        return json.dumps(bad, ensure_ascii=False, default=str) + "\n"
    except RecursionError:
        return _told(bad | {"row": None})


def read(
    path: Path,
    format: str,
    project: Project | None = None,
    split: str = "",
    skip: TextIO | None = None,
    beat: Beat = lambda done, total: None,
) -> Reading:
    """Everything the file holds. Raises BadFile naming the bad lines, unless they may be skipped:
    to the file `skip`.

    A file without any entry is bad too. `split` is that of rows which name none.
    """
    reading = Reading()
    for batch in chunks(files.rows(path), BATCH):
        read_ = [(row, *entries_of(row, format, split)) for row in batch]
        _know_authors(reading.scratch, project, [entry for _, found, _ in read_ for entry in found])
        for row, entries, error in read_:
            reading.rows += 1
            error = error or _two_splits(entries, reading.scratch)
            if error:
                reading.refuse(row, error, skip)
            else:
                _keep(reading, row, entries)
            if reading.rows % BEAT_EVERY == 0:
                beat(0, 0)
    if not reading.entries.count and not reading.bad_rows:
        reading.refuse(Row(1), "the file holds nothing to import", None)
        raise BadFile(reading.bad)
    if reading.bad_rows and skip is None:
        raise BadFile(reading.bad, reading.bad_rows)
    return reading


def chunks(things: Iterable, size: int) -> Iterator[list]:
    batch = []
    for thing in things:
        batch.append(thing)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def entries_of(row: Row, format: str, split: str = "") -> tuple[list[Entry], str]:
    """What the row holds, and why it is bad."""
    if row.error:
        return [], row.error
    try:
        found = FORMATS[format].read(row.value, row.file)
        return [replace(entry, line=row.place, split=entry.split or split) for entry in found], ""
    except BadPrompt as error:
        return [], str(error)
    except RecursionError:
        return [], "nested too deeply"
    except (KeyError, TypeError, AttributeError, ValueError, IndexError):
        return [], f"does not fit the format {format}"


def _know_authors(scratch: Scratch, project: Project | None, entries: list[Entry]) -> None:
    """Look up once in which split the project has an author already."""
    new = {
        entry.author
        for entry in entries
        if entry.author and scratch.get("looked up", entry.author) is None
    }
    keys = {conversations.author_key(author): author for author in new}
    there = (
        Prompt.objects.filter(project=project, published=True, author__in=keys)
        if project
        else Prompt.objects.none()
    )
    for key, split in there.values_list("author", "split").distinct():
        scratch.put("split", keys[key], split)
        scratch.put("known", keys[key], split)
    for author in new:
        scratch.put("looked up", author, 1)


def _two_splits(entries: list[Entry], scratch: Scratch) -> str:
    for entry in entries:
        if not entry.author or not entry.split:
            continue
        before = scratch.get("split", entry.author)
        if before and before != entry.split:
            if scratch.get("known", entry.author):
                return f"this author's earlier prompts are in split {before}"
            return f"this author's prompts are in split {before} already"
    return ""


def _keep(reading: Reading, row: Row, entries: list[Entry]) -> None:
    for entry in entries:
        if entry.author and entry.split:
            reading.scratch.put("split", entry.author, entry.split)
        reading.entries.add((entry, "" if entry.bare else _row_digest(reading.scratch, entry)))


def _row_digest(scratch: Scratch, entry: Entry) -> str:
    """What the row says, before any cleaning, and how often the file said the same before: rows are
    a multiset.
    """
    said = {name: getattr(entry, name) for name in SAID}
    digest = rows.digest(said)
    return rows.digest([digest, scratch.count("row", digest)])


SAID = ("messages", "answers", "judgments", "demonstration")
