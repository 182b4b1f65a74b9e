"""How two datasets differ: rows and judgments that were added, are gone, or changed.

A row is known again by its prompt and the texts of its answers, a judgment by its row and its
judge, whose number may be another one in each dataset. Both files are read once, and rows are
joined on disk, so that memory stays level. What differs is kept as a file: a line of JSON with the
counts, then two whole numbers for each row that differs, the bytes of the two files where it
starts.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, overload

import orjson
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from labeling.exports import row_pages
from labeling.models import DatasetLabeler
from modelops import datasets, jobs, recipes, rendered
from modelops.hashing import Watch, unwatched
from modelops.models import Dataset, Job
from modelops.progress import Transfer
from modelops.recipes import CompareRecipe
from people.models import User

EDITION = 1  # raised when what is counted or kept changes, so that older files are made again
SMALL = 20_000  # rows of both datasets together that a request compares itself: about a second
CHANGED, ADDED, GONE = STATES = ("changed", "added", "gone")
NOWHERE = -1  # where a row starts that is in one of the datasets only
PLACES = struct.Struct("<qq")


class NotComparable(ValueError):
    """The two datasets can't be compared; the message says why."""


@dataclass(frozen=True)
class Difference:
    """What differs, read from its file: counts of rows and of judgments by state, and the places
    of the rows.
    """

    file: Path
    rows: dict[str, int]
    judgments: dict[str, int]
    start: int  # of the places in the file

    def places(self, state: str) -> Places:
        before = sum(self.rows[other] for other in STATES[: STATES.index(state)])
        return Places(self.file, self.start + before * PLACES.size, self.rows[state])


@dataclass(frozen=True)
class Places(Sequence[tuple[int, int]]):
    """(start in the earlier dataset, start in the later one) of rows, read a slice at a time."""

    file: Path
    start: int
    length: int

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, at: int) -> tuple[int, int]: ...

    @overload
    def __getitem__(self, at: slice) -> list[tuple[int, int]]: ...

    def __getitem__(self, at: int | slice) -> tuple[int, int] | list[tuple[int, int]]:
        if not isinstance(at, slice):
            return self[at : at + 1][0]
        first, last, _step = at.indices(self.length)
        with open(self.file, "rb") as file:
            file.seek(self.start + first * PLACES.size)
            return list(PLACES.iter_unpack(file.read(max(last - first, 0) * PLACES.size)))


# What can be compared


def earlier(dataset: Dataset) -> QuerySet[Dataset]:
    """The datasets that it can be compared with, the newest first."""
    same = Dataset.objects.filter(
        project=dataset.project_id, kind=dataset.kind, withdrawn_at__isnull=True
    )
    return same.exclude(pk=dataset.pk).order_by("-pk")


def refuse(before: Dataset, after: Dataset) -> None:
    """Raises NotComparable, or datasets.Withheld where one of them has no rows any more."""
    if before.pk == after.pk:
        raise NotComparable(_("This is the same dataset: choose another one."))
    if before.kind != after.kind:
        raise NotComparable(_("Only datasets of the same kind can be compared."))
    for dataset in (before, after):
        row_pages.opened(dataset).close()


def is_small(before: Dataset, after: Dataset) -> bool:
    rows: int = before.counts["rows"] + after.counts["rows"]
    return rows <= SMALL


# Made once


def path(before: Dataset, after: Dataset) -> Path:
    """Where the difference is kept, whether it is made already or not."""
    return datasets.renders(after) / f"difference-{EDITION}-{before.digest[:32]}.bin"


def is_ready(before: Dataset, after: Dataset) -> bool:
    """Whether a request may have the difference at once. Raises store.StoreFault."""
    return is_small(before, after) or rendered.is_made(after, path(before, after))


def request(actor: User, before: Dataset, after: Dataset) -> Job:
    """The job that compares them: the one that is waiting or running, or a new one."""
    latest = latest_job(before, after)
    if latest and latest.live:
        return latest
    recipe = {"before": before.digest}
    return jobs.request(actor, after.project, Job.Kind.COMPARE, recipe, dataset=after)


def latest_job(before: Dataset, after: Dataset) -> Job | None:
    """The job that waits or runs to compare them; else the last that did."""
    return jobs.latest(Job.Kind.COMPARE, CompareRecipe(before=before.digest), dataset=after)


def run(job: Job) -> None:
    """Run a job that compares. Raises datasets.Withheld or NotComparable, and what a beat
    raises.
    """
    recipe, after = recipes.read(job.kind, job.recipe), job.dataset
    before = Dataset.objects.filter(project=job.project, digest=recipe.before).first()
    datasets.refuse_withdrawn(before)
    datasets.refuse_withdrawn(after)
    assert before is not None  # or it was refused just now
    assert after is not None
    transfer = Transfer(job, 2 * (datasets.size(before) + datasets.size(after)))
    transfer.begin(_("reading"))
    difference = make(before, after, transfer.watch)
    file = path(before, after)
    if file.exists():
        rendered.keep(after, file, file.name)  # for the other hosts
    transfer.finish()
    job.result = {
        "before": before.pk,
        "after": after.pk,
        "rows": difference.rows,
        "judgments": difference.judgments,
    }


def make(before: Dataset, after: Dataset, watch: Watch = unwatched) -> Difference:
    """The difference, which is made now unless it is kept. It is never seen half written.

    `watch` is told of the bytes of both datasets twice: they are checked, then read. Raises what it
    raises, datasets.Withheld or NotComparable.
    """
    refuse(before, after)
    file = path(before, after)
    if made := rendered.find(after, file):
        return read(made)
    for dataset in (before, after):
        datasets.verify(dataset, watch)
    datasets.render(file, lambda out: _write(before, after, out, watch))
    return read(file)


def read(file: Path) -> Difference:
    with open(file, "rb") as kept:
        header = kept.readline()
    counts = json.loads(header)
    return Difference(file, counts["rows"], counts["judgments"], len(header))


# Compare


def _write(before: Dataset, after: Dataset, out: BinaryIO, watch: Watch) -> None:
    rows, judgments = Counter[str](), Counter[str]()
    with _scratch(datasets.renders(after)) as table:
        known = _labelers(before, after)
        for side, dataset in enumerate((before, after)):
            for entry in _entries(dataset, known[side], watch):
                table.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?)", (side, *entry))
        table.execute("CREATE INDEX by_key ON entry (key, content, side, start)")
        with row_pages.opened(before) as old, row_pages.opened(after) as new:
            for state, start, other, judged in _joined(table):
                rows[state] += 1
                if state == CHANGED:
                    pair = row_pages.read_at(old, start), row_pages.read_at(new, other)
                    judgments.update(judgment.state for judgment in judged_in(*pair, *known))
                else:
                    judgments[state] += judged
                if state in STATES:
                    place = (STATES.index(state), start, other)
                    table.execute("INSERT INTO place VALUES (?, ?, ?)", place)
                watch(0)
        counts = {
            "rows": {state: rows[state] for state in ("same", *STATES)},
            "judgments": {state: judgments[state] for state in ("same", *STATES)},
        }
        out.write(orjson.dumps(counts) + b"\n")
        for place in table.execute("SELECT start, other FROM place ORDER BY state, rowid"):
            out.write(PLACES.pack(*place))


@contextmanager
def _scratch(folder: Path) -> Iterator[sqlite3.Connection]:
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".compare-") as scratch,
        closing(sqlite3.connect(Path(scratch) / "rows", isolation_level=None)) as table,
    ):
        table.executescript(
            """
            PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;
            CREATE TABLE entry
            (side INTEGER, key BLOB, content BLOB, start INTEGER, judged INTEGER);
            CREATE TABLE place (state INTEGER, start INTEGER, other INTEGER);
            BEGIN;
            """
        )
        yield table


def _labelers(before: Dataset, after: Dataset) -> tuple[dict[int, str], dict[int, str]]:
    """The judges that the numbers of both datasets stand for. None of both where one of them was
    frozen before Podium kept them.
    """
    known = [
        {number: judge.hex for number, judge in numbered.values_list("number", "judge")}
        for numbered in (
            DatasetLabeler.objects.filter(dataset=dataset) for dataset in (before, after)
        )
    ]
    return (known[0], known[1]) if all(known) else ({}, {})


def _entries(
    dataset: Dataset, labelers: dict[int, str], watch: Watch
) -> Iterator[tuple[bytes, bytes, int, int]]:
    """(what the row is known by, its content, where it starts, how many judgments it has)."""
    start = 0
    with row_pages.opened(dataset) as file:
        for line in file:
            row = orjson.loads(line)
            judged = _judged(row, labelers)
            content = {name: value for name, value in row.items() if name != "judgments"}
            content["judgments"] = sorted((judge, _packed(judgment)) for judge, judgment in judged)
            yield _hash(_identity(row)), _hash(content), start, len(judged)
            start += len(line)
            watch(len(line))


def _identity(row: dict[str, Any]) -> list[Any]:
    """A prompt with the texts of its answers, or with the text that follows it."""
    texts = [answer["text"] for answer in row["answers"]] if "answers" in row else row.get("text")
    return [row.get("prompt_id"), texts]


def _judged(row: dict[str, Any], labelers: dict[int, str]) -> list[tuple[str, dict[str, Any]]]:
    """(judge, what was said) of each judgment; an unknown judge is ""."""
    return [
        (
            labelers.get(judgment["labeler"], ""),
            {name: value for name, value in judgment.items() if name != "labeler"},
        )
        for judgment in row.get("judgments", ())
    ]


def _packed(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _hash(value: Any) -> bytes:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).digest()


def _joined(table: sqlite3.Connection) -> Iterator[tuple[str, int, int, int]]:
    """(state, start before, start after, judgments) of each row of both datasets together.

    Of several rows that are known by the same, those with the same content are the same; the rest
    are paired in the order of their content.
    """
    entries = table.cursor().execute(
        "SELECT key, content, side, start, judged FROM entry ORDER BY key, content, side, start"
    )
    for _key, group in groupby(entries, itemgetter(0)):
        rest: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        for _content, same in groupby(group, itemgetter(1)):
            sides: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
            for _key, _content, side, start, judged in same:
                sides[side].append((start, judged))
            common = min(map(len, sides))
            for (start, judged), (other, _judged) in zip(*sides):
                yield "same", start, other, judged
            for side in (0, 1):
                rest[side].extend(sides[side][common:])
        common = min(map(len, rest))
        for (start, judged), (other, _judged) in zip(*rest):
            yield CHANGED, start, other, judged
        for start, judged in rest[0][common:]:
            yield GONE, start, NOWHERE, judged
        for start, judged in rest[1][common:]:
            yield ADDED, NOWHERE, start, judged


# Two rows


@dataclass(frozen=True)
class ComparedJudgment:
    """A judgment of the earlier row, the later one, or both."""

    state: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def judged_in(
    before: dict[str, Any],
    after: dict[str, Any],
    labelers_before: dict[int, str],
    labelers_after: dict[int, str],
) -> list[ComparedJudgment]:
    """The judgments of two rows of the same prompt and answers, each judge's beside each other."""
    judges: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {}
    for side, (row, labelers) in enumerate(((before, labelers_before), (after, labelers_after))):
        for judgment in row.get("judgments", ()):
            judge = labelers.get(judgment["labeler"], "")
            judges.setdefault(judge, ([], []))[side].append(judgment)
    return [compared for sides in judges.values() for compared in _paired(*sides)]


def _paired(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> Iterator[ComparedJudgment]:
    """The same judgments first, then the others in their order."""
    rest_before, rest_after = [], list(after)
    for judgment in before:
        same = next((other for other in rest_after if _says_the_same(judgment, other)), None)
        if same is None:
            rest_before.append(judgment)
        else:
            rest_after.remove(same)
            yield ComparedJudgment("same", judgment, same)
    common = min(len(rest_before), len(rest_after))
    for earlier, later in zip(rest_before, rest_after):
        yield ComparedJudgment(CHANGED, earlier, later)
    for earlier in rest_before[common:]:
        yield ComparedJudgment(GONE, earlier, None)
    for later in rest_after[common:]:
        yield ComparedJudgment(ADDED, None, later)


def _says_the_same(before: dict[str, Any], after: dict[str, Any]) -> bool:
    return before | {"labeler": None} == after | {"labeler": None}


@dataclass(frozen=True)
class ComparedRow:
    """A row that differs: as it was, as it is, its judgments, and the names of the other fields
    that changed.
    """

    state: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    start_before: int
    start_after: int
    judgments: list[ComparedJudgment]
    fields: list[str]


def read_rows(
    before: Dataset, after: Dataset, state: str, places: Iterable[tuple[int, int]]
) -> list[ComparedRow]:
    """The rows at these places. Raises datasets.Withheld."""
    labelers = _labelers(before, after)
    with row_pages.opened(before) as old, row_pages.opened(after) as new:
        return [
            _compared(
                state,
                None if start == NOWHERE else row_pages.read_at(old, start),
                None if other == NOWHERE else row_pages.read_at(new, other),
                (start, other),
                labelers,
            )
            for start, other in places
        ]


def _compared(
    state: str,
    old: dict[str, Any] | None,
    new: dict[str, Any] | None,
    places: tuple[int, int],
    labelers: tuple[dict[int, str], dict[int, str]],
) -> ComparedRow:
    if old is None or new is None:
        row = old or new or {}
        judgments = [
            ComparedJudgment(state, judgment if old else None, judgment if new else None)
            for judgment in row.get("judgments", ())
        ]
        return ComparedRow(state, old, new, *places, judgments, [])
    names = sorted((old.keys() | new.keys()) - {"judgments"})
    fields = [name for name in names if old.get(name) != new.get(name)]
    return ComparedRow(state, old, new, *places, judged_in(old, new, *labelers), fields)
