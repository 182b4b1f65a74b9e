"""Judgments to frozen rows, which are sorted in memory, and rows to the formats people take home, which stream."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labeling.models import DatasetRanking, Demonstration, RankedCandidate, Ranking, RankingTask
from modelops import datasets, jobs, rows
from modelops.models import Dataset, Job
from people.models import Project, User

BATCH = 500

# Freezing


class NothingToFreeze(ValueError):
    """There is no judgment, or no demonstration, to make a dataset of."""


def freeze(job: Job, beat=lambda done: None) -> Dataset:
    """Freeze the project's current judgments. The same judgments give the same dataset, on any database.

    Raises NothingToFreeze.
    """
    frozen = sorted(_judged_tasks(job, beat), key=lambda item: item[0])
    if not frozen:
        raise NothingToFreeze("No task has been ranked yet: rank some, or import rankings, then freeze again.")
    ranking_ids = [pk for _, _, pks in frozen for pk in pks]
    digest, folder = datasets.write(_number_labelers(frozen))
    dataset, _new = datasets.register(
        job.project, Dataset.Kind.JUDGMENTS, digest, folder, job=job, note=job.recipe.get("note", "")
    )
    for start in range(0, len(ranking_ids), BATCH):  # again for one that is known: a killed freeze may lack some
        links = (DatasetRanking(dataset=dataset, ranking_id=pk) for pk in ranking_ids[start : start + BATCH])
        DatasetRanking.objects.bulk_create(links, ignore_conflicts=True)
    return dataset


def freeze_now(actor: User | None, project: Project, kind: str = "judgments", note: str = "") -> Dataset:
    """Freeze here and now, as a job that this process runs. Raises jobs.JobFailed."""
    with jobs.inline(actor, project, Job.Kind.FREEZE, {"kind": kind, "note": note}) as job:
        try:
            return run(job)
        except NothingToFreeze as error:
            raise jobs.JobFailed(str(error)) from error


def run(job: Job, beat=lambda done: None) -> Dataset:
    """What a freeze job asks for; its result says which dataset that is."""
    dataset = freeze(job, beat) if job.recipe["kind"] == Dataset.Kind.JUDGMENTS else freeze_demonstrations(job)
    job.result = {"dataset": dataset.pk, "rows": dataset.counts["rows"], "pairs": dataset.counts["pairs"]}
    return dataset


def to_freeze(project):
    """Tasks whose judgments enter a dataset: published prompts, training purpose, at least one current ranking."""
    judged = Ranking.objects.filter(task__project=project, current=True)
    return RankingTask.objects.filter(
        project=project, purpose=RankingTask.Purpose.TRAINING, prompt__published=True, pk__in=judged.values("task")
    )


def _judged_tasks(job: Job, beat) -> Iterator[tuple]:
    """(sort key, (row, judges), ranking ids) of each task."""
    pks = list(to_freeze(job.project).order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(pks), BATCH):
        for task in _with_judgments(pks[start : start + BATCH]):
            yield _frozen(task)
        beat(start)


def _with_judgments(pks: list[int]):
    """The tasks with prompt, answers, versions, rankings and ranks in a constant number of queries."""
    tasks = RankingTask.objects.filter(pk__in=pks).select_related("prompt")
    rankings = Ranking.objects.filter(task__in=pks, current=True).prefetch_related("ranked")
    by_task: dict[int, list[Ranking]] = {}
    for ranking in rankings:
        by_task.setdefault(ranking.task_id, []).append(ranking)
    for task in tasks.prefetch_related("candidates__model_version"):
        if task.pk in by_task:  # its only ranking may have been undone since the tasks were listed
            task.judged = by_task[task.pk]
            yield task


def _frozen(task: RankingTask) -> tuple:
    """One task as a row. No primary key, path or date enters it, so that its digest is the same everywhere.

    Answers sort by what they are; judgments by their judge's UUID, which is then replaced by a number. Rows sort by
    their content first and by those UUIDs only where two rows are otherwise equal.
    """
    candidates = sorted(
        task.candidates.all(),
        key=lambda c: (c.text, c.model_version.name, c.seed if c.seed is not None else -1, c.slot),
    )
    judged = sorted(task.judged, key=lambda ranking: ranking.judge.hex)
    row = _prompt_fields(task.prompt) | {
        "answers": [_answer(position, candidate) for position, candidate in enumerate(candidates)],
        "judgments": [_judgment(ranking, [candidate.pk for candidate in candidates]) for ranking in judged],
    }
    judges = [ranking.judge.hex for ranking in judged]
    return (rows.digest(row), judges), (row, judges), [ranking.pk for ranking in judged]


def _prompt_fields(prompt) -> dict:
    return {
        "prompt_id": prompt.digest,
        "messages": prompt.messages,
        "split": prompt.split,
        "use_case": prompt.use_case,
        "language": prompt.language,
    }


def _answer(position: int, candidate) -> dict:
    return {
        "id": position,
        "text": candidate.text,
        "model": candidate.model_version.name,
        "finish_reason": candidate.finish_reason,
        "tokens": candidate.tokens,
    }


def _judgment(ranking: Ranking, candidate_ids: list[int]) -> dict:
    said: dict[int, RankedCandidate] = {ranked.candidate_id: ranked for ranked in ranking.ranked.all()}
    ranked = [said[pk] for pk in candidate_ids]
    unranked = ranking.outcome != Ranking.Outcome.RANKED
    return {
        "labeler": None,  # numbered once all rows are in their order
        "kind": ranking.kind,
        "outcome": ranking.outcome,
        "ranks": [] if unranked else [one.rank for one in ranked],
        "ratings": [one.rating for one in ranked],
        "flags": [sorted(one.flags) for one in ranked],
        "strength": _strength(ranking, ranked),
        "seconds": round(ranking.seconds, 1),
        "weight": 1.0,
    }


def _strength(ranking: Ranking, ranked: list[RankedCandidate]) -> int | None:
    """How much better answer 0 is than answer 1; the labeler may have seen them the other way round."""
    if ranking.strength is None:
        return None
    return ranking.strength if ranked[0].shown < ranked[1].shown else -ranking.strength


def _number_labelers(frozen: list) -> Iterator[str]:
    numbers: dict[str, int] = {}
    for _, (row, judges), _ in frozen:
        for judgment, judge in zip(row["judgments"], judges, strict=True):
            judgment["labeler"] = numbers.setdefault(judge, len(numbers))
        yield rows.canonical(row)


def freeze_demonstrations(job: Job) -> Dataset:
    """Freeze the project's demonstrations: a prompt and the answer that a person wrote, one row each."""
    written = Demonstration.objects.filter(prompt__project=job.project, prompt__published=True).select_related("prompt")
    lines = sorted(rows.canonical(_prompt_fields(one.prompt) | {"text": one.text}) for one in written.iterator())
    if not lines:
        raise NothingToFreeze("No demonstration has been written or imported yet.")
    digest, folder = datasets.write(lines)
    dataset, _new = datasets.register(
        job.project, Dataset.Kind.DEMONSTRATIONS, digest, folder, job=job, note=job.recipe.get("note", "")
    )
    return dataset


# Formats


def preferences(folder: Path, split: str = "") -> Iterator[dict]:
    """TRL's explicit-prompt preference format, conversational: prompt, chosen and rejected are lists of messages.

    One line for each comparison that a judgment implies; ties make none.
    """
    for row in rows.read(folder):
        if split and row["split"] != split:
            continue
        replies = [[{"role": "assistant", "content": answer["text"]}] for answer in row["answers"]]
        for winner, loser in rows.row_pairs(row):
            yield {"prompt": row["messages"], "chosen": replies[winner], "rejected": replies[loser]}


def frozen(folder: Path, split: str = "") -> Iterator[dict]:
    """The rows themselves; without a split, their lines are byte for byte what the dataset's id is made of."""
    return (row for row in rows.read(folder) if split in ("", row["split"]))


def json_lines(items: Iterator[dict]) -> Iterator[bytes]:
    for item in items:
        yield (rows.canonical(item) + "\n").encode()


def parquet(items: Iterator[dict], group: int = 1000) -> Iterator[bytes]:
    """The same rows as a Parquet file, a row group at a time."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    turns = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    schema = pa.schema([("prompt", turns), ("chosen", turns), ("rejected", turns)])
    sink = _Sink()
    with pq.ParquetWriter(sink, schema) as writer:
        batch: list[dict] = []
        for item in items:
            batch.append(item)
            if len(batch) == group:
                writer.write_table(pa.Table.from_pylist(batch, schema))
                batch = []
                yield sink.drain()
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, schema))
    yield sink.drain()


class _Sink(io.RawIOBase):
    """A file that forgets what it was read out of but knows how long it would be: Parquet's footer needs offsets."""

    def __init__(self):
        self.length, self.held = 0, []

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.length

    def write(self, data) -> int:
        self.held.append(bytes(data))
        self.length += len(data)
        return len(data)

    def drain(self) -> bytes:
        written, self.held = b"".join(self.held), []
        return written


@dataclass(frozen=True)
class Format:
    """A way to take a dataset home: `make(folder, split)` gives the bytes of the file, piece by piece."""

    make: Callable[[Path, str], Iterator[bytes]]
    content_type: str
    ending: str


FORMATS = {
    "jsonl": Format(lambda folder, split: json_lines(preferences(folder, split)), "application/x-ndjson", "jsonl"),
    "parquet": Format(
        lambda folder, split: parquet(preferences(folder, split)), "application/vnd.apache.parquet", "parquet"
    ),
    "rows": Format(lambda folder, split: json_lines(frozen(folder, split)), "application/x-ndjson", "rows.jsonl"),
}


def formats_of(dataset: Dataset) -> list[str]:
    """Pairs can be made of judgments only."""
    return list(FORMATS) if dataset.kind == Dataset.Kind.JUDGMENTS else ["rows"]
