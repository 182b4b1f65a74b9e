"""Read and check the whole file before anything is written. What was read is kept on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from labeling.imports import files
from labeling.imports.files import Row
from labeling.imports.formats.base import MOST_ANSWERS
from labeling.imports.found_codes import Found, FoundCodes
from labeling.imports.mapping import Field, FieldTable
from labeling.imports.sources import Read, Source
from labeling.imports.spool import Scratch, Spool
from labeling.judging import criteria, scores
from labeling.models import Prompt
from labeling.text import conversations
from labeling.text.conversations import Entry
from modelops import rows
from people.db.among import among
from people.models import Project

BATCH = 500
BATCH_BYTES = 16 * 2**20
SHOWN = 20  # bad lines named in one message
NAMED = 1000  # bad lines kept in memory
Beat = Callable[[int, int], None]  # called with the number of entries written, and their total
BEAT_EVERY = 5_000  # rows read
Digests = Callable[[Entry], list[str]]


class BadFile(ValueError):
    """Nothing was imported. `lines` holds (number, reason) of the first NAMED bad lines of
    `count`.
    """

    def __init__(self, lines: list[tuple[int | str, str]], count: int = 0):
        self.lines, self.count = lines, max(count, len(lines))
        named = "\n".join(f"line {number}: {reason}" for number, reason in lines[:SHOWN])
        remaining = f"\n… and {self.count - SHOWN} more" if self.count > SHOWN else ""
        super().__init__(f"{named}{remaining}\nNothing was imported.")


class UnreadFields(BadFile):
    """Nothing was imported: these fields of the file hold something, and nothing reads them."""

    def __init__(self, fields: list[Field], near: dict[str, str]):
        self.lines, self.count, self.fields = [], 0, fields
        named = ", ".join(_with_near_miss(one.path, near) for one in fields[:SHOWN])
        remaining = f" and {len(fields) - SHOWN} more" if len(fields) > SHOWN else ""
        ValueError.__init__(
            self,
            f"Nothing reads these fields of the file: {named}{remaining}. Leave each out, or keep "
            "it as metadata. Nothing was imported.",
        )


def _with_near_miss(path: str, near: dict[str, str]) -> str:
    return f"{path} (is it {near[path]}?)" if near.get(path) else path


@dataclass
class Reading:
    """What a file holds: its entries on disk, its bad lines, and the splits of its authors.

    `changes` counts what was converted, replaced or left out before any format was read.
    """

    entries: Spool = field(default_factory=Spool)
    scratch: Scratch = field(default_factory=Scratch)
    changes: files.Changes = field(default_factory=files.Changes)
    bad: list[tuple[int | str, str]] = field(default_factory=list)
    rows: int = 0
    bad_rows: int = 0
    pictures: int = 0  # bad rows that hold one
    knows_splits: bool = False  # of prompts: some row names one, or the project has it
    fields: list[Field] = field(default_factory=list)  # of the good rows, if there are any
    codes: Found = field(default_factory=dict)

    def refuse(self, row: Row, reason: str, out: TextIO | None) -> None:
        self.bad_rows += 1
        self.pictures += reason == conversations.PICTURE
        if len(self.bad) < NAMED:
            self.bad.append((row.place, reason))
        if out:
            out.write(_bad_line({"line": row.place, "reason": reason, "row": row.value}))

    def refuse_bad_rows(self) -> None:
        """Raises BadFile if there is one."""
        if self.bad_rows:
            raise BadFile(self.bad, self.bad_rows)

    def unread(self, source: Source) -> list[Field]:
        """The fields of rows that come in of which nobody has said what becomes of them."""
        return source.unread(self.fields) if self.entries.count else []

    def look_up_prompts(self, project: Project | None, forms: Iterable[list[str]]) -> None:
        """Look up the split that the project already has for each of these prompts: for the prompt
        as it is, or else with its personal data masked.
        """
        by_digest = {digests[0]: digests for digests in forms}
        if project is None or not by_digest:
            return
        self.scratch.fetch("split of prompt", by_digest)
        new = [
            digests
            for digest, digests in by_digest.items()
            if self.scratch.get("split of prompt", digest) is None
        ]
        wanted = {digest for digests in new for digest in digests}
        prompts = Prompt.objects.filter(among("digest", wanted), project=project, published=True)
        here = dict(prompts.values_list("digest", "split"))
        for digests in new:
            if split := next((here[digest] for digest in digests if digest in here), ""):
                self.scratch.put("split of prompt", digests[0], split)
                self.knows_splits = True

    def split(self, entry: Entry, digest: str) -> str:
        """The split that is known of the prompt, from whatever row or from the project, or of the
        author; otherwise that of the hash. `digest` is that of the prompt as it is cleaned.
        """
        known = entry.split or (entry.author and self.scratch.get("split", entry.author))
        if not known and self.knows_splits:
            known = self.scratch.get("split of prompt", digest)
        return known or rows.split_of(entry.author or digest)


def _bad_line(bad: dict) -> str:
    try:
        return json.dumps(bad, ensure_ascii=False, default=str) + "\n"
    except RecursionError:
        return _bad_line(bad | {"row": None})


def read(
    path: Path,
    source: Source,
    project: Project | None = None,
    split: str = "",
    skip: TextIO | None = None,
    beat: Beat = lambda done, total: None,
    filename: str = "",
    cleans_answers: bool = False,
    digests: Digests = lambda entry: [entry.digest],
) -> Reading:
    """Everything that the file holds. Bad lines go to the file `skip`, if there is one.

    Raises BadFile with the bad lines if there is no `skip`, and for a file without any entry.
    `split` is the split of rows that name none, `filename` the file's own name. Where answers will
    be cleaned, a row that marks parts of them is bad. `digests` gives those that a prompt may have
    once it is cleaned: as held-out splits have it, then as the training split has it, if that
    differs.
    """
    reading, codes = Reading(), FoundCodes(source.table)
    good, bad = FieldTable(source.opened), FieldTable(source.opened)
    known = criteria.known(project) if project else {}
    for batch in _batches(source.read(noted(files.rows(path, filename, reading.changes), codes))):
        parsed = [(row, *_placed(row, entries, error, split)) for row, entries, error in batch]
        all_entries = [entry for _row, entries, _error in parsed for entry in entries]
        named = {id(entry): digests(entry) for entry in all_entries if entry.split}
        _look_up_authors(reading.scratch, project, all_entries)
        reading.look_up_prompts(project, named.values())
        for row, entries, error in parsed:
            reading.rows += 1
            error = (
                error
                or _split_conflict(entries, named, reading.scratch)
                or _unfit(entries, known, cleans_answers)
            )
            if has_fields(row):
                (bad if error else good).add(row.value)
            if error:
                reading.refuse(row, error, skip)
            else:
                _keep(reading, entries, named)
            if reading.rows % BEAT_EVERY == 0:
                beat(0, 0)
    reading.fields = (good if good.rows else bad).fields()
    reading.codes = codes.as_dict()
    if not reading.entries.count and not reading.bad_rows:
        reading.refuse(Row(1), "the file holds nothing to import", None)
        raise BadFile(reading.bad)
    if skip is None:
        reading.refuse_bad_rows()
    return reading


def chunks(items: Iterable, size: int) -> Iterator[list]:
    """Yield lists of at most `size` items."""
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _batches(reads: Iterable[Read]) -> Iterator[list[Read]]:
    """Yield lists of at most BATCH rows, and fewer where those are large."""
    batch: list[Read] = []
    size = 0
    for read in reads:
        batch.append(read)
        size += read[0].size
        if len(batch) == BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def has_fields(row: Row) -> bool:
    return isinstance(row.value, dict) and not row.error


def noted(rows: Iterable[Row], *tables: FieldTable | FoundCodes) -> Iterator[Row]:
    """Yield the rows; those with fields are counted in the tables."""
    for row in rows:
        if has_fields(row):
            for table in tables:
                table.add(row.value)
        yield row


def _placed(row: Row, entries: list[Entry], error: str, split: str) -> tuple[list[Entry], str]:
    """The entries with their line, and the split of rows that name none; and why they are bad."""
    most = max((len(entry.answers) for entry in entries), default=0)
    if most > MOST_ANSWERS:
        return [], f"has more than {MOST_ANSWERS} answers to one prompt: {most}"
    placed = [entry.but(line=row.place, split=entry.split or split) for entry in entries]
    return placed, error


def _look_up_authors(scratch: Scratch, project: Project | None, entries: list[Entry]) -> None:
    """Look up each new author once: the split that the project already has for them."""
    authors = {entry.author for entry in entries if entry.author}
    scratch.fetch("looked up", authors)
    scratch.fetch("split", authors)
    new = {author for author in authors if scratch.get("looked up", author) is None}
    keys = {conversations.author_key(author): author for author in new}
    prompts = (
        Prompt.objects.filter(among("author", keys), project=project, published=True)
        if project
        else Prompt.objects.none()
    )
    for key, split in prompts.values_list("author", "split").distinct():
        scratch.put("split", keys[key], split)
        scratch.put("known", keys[key], split)
    for author in new:
        scratch.put("looked up", author, 1)


def _stored(entry: Entry, digests: list[str]) -> list[str]:
    """The digests that belong to an entry's split: what is masked is in the training split."""
    return digests if entry.split == Prompt.Split.TRAIN else digests[:1]


def _split_conflict(entries: list[Entry], named: Mapping[int, list[str]], scratch: Scratch) -> str:
    """Why the entries' split contradicts an earlier one of the prompt or the author; "" if it does
    not.
    """
    for entry in entries:
        if not entry.split:
            continue
        for digest in _stored(entry, named[id(entry)]):
            earlier = scratch.get("split of prompt", digest)
            if earlier and earlier != entry.split:
                return (
                    f"this prompt is in split {earlier} already, and can't be in {entry.split} too"
                )
        if not entry.author:
            continue
        earlier = scratch.get("split", entry.author)
        if earlier and earlier != entry.split:
            if scratch.get("known", entry.author):
                return f"this author's earlier prompts are in split {earlier}"
            return f"this author's prompts are in split {earlier} already"
    return ""


def _unfit(entries: list[Entry], known: dict[str, criteria.Asked], cleans_answers: bool) -> str:
    """Why the project can't hold the entries' scores and spans; "" if it can."""
    judgments = [judgment for entry in entries for judgment in entry.judgments]
    if cleans_answers and any(judgment.get("spans") for judgment in judgments):
        return (
            "its spans count the characters of the answers as they are: "
            "import it without cleaning answers"
        )
    return next(filter(None, (scores.import_fault(judgment, known) for judgment in judgments)), "")


def _keep(reading: Reading, entries: list[Entry], named: Mapping[int, list[str]]) -> None:
    for entry in entries:
        if entry.split:
            reading.knows_splits = True
            for digest in _stored(entry, named[id(entry)]):
                reading.scratch.put("split of prompt", digest, entry.split)
        if entry.author and entry.split:
            reading.scratch.put("split", entry.author, entry.split)
        reading.entries.add((entry, "" if entry.bare else _row_digest(reading.scratch, entry)))


def _row_digest(scratch: Scratch, entry: Entry) -> str:
    """A hash of the row before any cleaning, and of how often the file held the same row before.

    Equal rows of one file count as different rows. What kind of judge it was is no part of it, nor
    the seconds of a judgment in Label Studio: rows that were imported before these were read are
    known again.
    """
    content = {name: getattr(entry, name) for name in CONTENT}
    unread_before = {"judge_kind", "seconds"} if entry.source == "label-studio" else {"judge_kind"}
    content["judgments"] = [
        {name: value for name, value in judgment.items() if name not in unread_before}
        for judgment in entry.judgments
    ]
    # An answer's text says what its turns say, and is all that earlier versions kept of them.
    content["answers"] = [
        {name: value for name, value in answer.items() if name != "messages"}
        for answer in entry.answers
    ]
    digest = rows.digest(content)
    return rows.digest([digest, scratch.count("row", digest)])


CONTENT = ("messages", "answers", "judgments", "demonstration")
