"""Freeze judgments, demonstrations or prompts into the rows of a dataset.

Rows are streamed and sorted on disk. The same data gives the same rows on any database.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Model, QuerySet

from labeling.exports import contamination, selection
from labeling.exports.external_sort import Sorter
from labeling.exports.statistics import RowStatistics
from labeling.judging import scores
from labeling.models import (
    Candidate,
    Criterion,
    DatasetLabeler,
    DatasetRanking,
    Demonstration,
    Judge,
    Prompt,
    RankedCandidate,
    Ranking,
    RankingTask,
    judge_kind,
)
from modelops import datasets, jobs, recipes, rows
from modelops.hashing import Watch
from modelops.models import Dataset, Job
from modelops.recipes import FreezeRecipe
from people.models import Project, User

BATCH = 500
Beat = Callable[[int | None], None]  # called with how many were read; None: as many as before
WithRanks = list[tuple[Ranking, list[int]]]  # rankings of one task, each with its ranks
Row = TypeVar("Row", bound=Model)


class NothingToFreeze(ValueError):
    """No judgment, demonstration or prompt matches the recipe."""


NOTHING = {
    "judgments": "No task has been ranked yet: rank some, or import rankings, then freeze again.",
    "demonstrations": "No demonstration has been written or imported yet.",
    "prompts": "There is no prompt yet: upload some.",
    "text": "There is no prompt yet: upload some.",
}


# Settings of the recipe that leave something out.
NOTHING_MATCHES = "Nothing matches what was chosen: choose less narrowly."
FILTERS: tuple[str, ...] = ("since", "until", "use_case", "language", "models", "without")
FILTERS += ("agreement", "ties", "adjudicated", "purpose", "judges")


def nothing_to_freeze(recipe: FreezeRecipe) -> NothingToFreeze:
    """The error that says why there are no rows: the filters, or an empty project."""
    filtered = any(getattr(recipe, name) != getattr(FreezeRecipe, name) for name in FILTERS)
    return NothingToFreeze(NOTHING_MATCHES if filtered else NOTHING[recipe.kind])


def freeze_now(
    actor: User | None, project: Project, kind: str = "judgments", note: str = "", **chosen: Any
) -> Dataset:
    """Freeze in this process, as a job that it runs itself.

    Raises jobs.JobFailed or recipes.InvalidRecipe.
    """
    with jobs.inline(actor, project, Job.Kind.FREEZE, {"kind": kind, "note": note} | chosen) as job:
        try:
            return run(job)
        except (NothingToFreeze, recipes.InvalidRecipe) as error:
            raise jobs.JobFailed(str(error)) from error


def run(job: Job, beat: Beat = lambda done: None) -> Dataset:
    """Run a freeze job; its result names the dataset."""
    dataset = freeze(job, beat)
    figures = {name: dataset.counts[name] for name in ("rows", "pairs")}
    job.result = job.result | {"dataset": dataset.pk} | figures
    return dataset


def freeze(job: Job, beat: Beat = lambda done: None) -> Dataset:
    """Freeze what the job's recipe selects. Raises NothingToFreeze.

    The same judgments give the same dataset, on any database.
    """
    recipe = recipes.read(job.kind, job.recipe)
    if recipe.kind == Dataset.Kind.JUDGMENTS:
        dataset = _freeze_judgments(job, recipe, beat)
    else:
        dataset = _freeze_texts(job, recipe, beat)
    if recipe.replaces:
        replaced = Dataset.objects.filter(
            project=job.project, digest=recipe.replaces, withdrawn_at__isnull=False
        )
        replaced.exclude(pk=dataset.pk).update(successor=dataset)
    return dataset


def _register(
    job: Job,
    recipe: FreezeRecipe,
    frozen: Iterable[tuple[dict[str, Any], list[str]]],
    near: int,
    beat: Beat,
    schema: dict[str, Any] | None = None,
) -> Dataset:
    """The dataset of these rows, which are read once, each with the kinds of its judges; `schema`
    holds the criteria that they name, if any.

    `near` counts the training rows that were left out because they are close to a held-out row.
    """
    statistics = RowStatistics()
    lines = _counted(frozen, statistics)
    digest, place = datasets.write(lines, recipe.kind, schema, _each_batch(beat))
    figures = statistics.counts()
    if near:
        figures["near_held_out"] = near
    query = {
        name: value for name, value in vars(recipe).items() if value != getattr(FreezeRecipe, name)
    }
    about = {"job": job, "note": recipe.note, "licence": recipe.licence, "query": query}
    dataset, _new = datasets.register(job.project, recipe.kind, digest, place, figures, **about)
    if dataset.job_id != job.pk:
        job.result = {"same": True, "changed": _relabel(job, recipe, dataset)}
    return dataset


def _each_batch(beat: Beat) -> Watch:
    """Beats while rows are written, once in BATCH of them; how many judgments were read stays."""
    written = count(1)

    def watch(size: int) -> None:
        if next(written) % BATCH == 0:
            beat(None)

    return watch


def _counted(
    frozen: Iterable[tuple[dict[str, Any], list[str]]], statistics: RowStatistics
) -> Iterator[str]:
    for row, kinds in frozen:
        statistics.add(row, kinds)
        yield rows.canonical(row)


def _relabel(job: Job, recipe: FreezeRecipe, dataset: Dataset) -> list[str]:
    """Set the note and the licence of a dataset that already exists; returns what changed.

    An erasure repeats an old recipe: it changes neither.
    """
    if recipe.replaces:
        return []
    return datasets.relabel(job.requested_by, dataset, note=recipe.note, licence=recipe.licence)


# Judgments


def _freeze_judgments(job: Job, recipe: FreezeRecipe, beat: Beat) -> Dataset:
    with Sorter(settings.VAR / "datasets") as frozen:
        for done, batch in enumerate(in_batches(selection.rankings(job.project, recipe))):
            for task, judged in batch:
                if kept := selection.keep(judged, recipe):
                    frozen.add(*_sort_item(task, kept))
            beat(BATCH * done)
        origin = Origin()
        if next(iter(frozen), None) is None:
            raise nothing_to_freeze(recipe)
        near = contamination.drop(frozen) if recipe.apart else 0
        schema = _schema(job.project, frozen)
        dataset = _register(job, recipe, _number_labelers(frozen, origin), near, beat, schema)
    _save_origin(dataset, origin)
    return dataset


def _schema(project: Project, frozen: Iterable[list[Any]]) -> dict[str, Any] | None:
    """The criteria by which the rows hold scores, sorted; None where they hold none."""
    criteria = Criterion.objects.filter(project=project, preset="").order_by("key", "revision")
    if not criteria.exists():
        return None
    named = {
        name
        for row, _judges, _kinds, _pks in frozen
        for judgment in row["judgments"]
        for name in judgment.get("scores", ())
    }
    keys = ("key", "revision", "scope", "kind", "labels", "required")
    schema = [
        {key: getattr(criterion, key) for key in keys}
        for criterion in criteria
        if criterion.name in named
    ]
    return {"criteria": schema} if schema else None


def in_batches(chosen: QuerySet[Ranking]) -> Iterator[list[tuple[RankingTask, WithRanks]]]:
    """Yield the tasks of these rankings in batches, each task with its rankings and their ranks.

    A batch takes a constant number of queries.
    """
    last = 0
    while True:
        following = chosen.filter(task__gt=last).order_by("task")
        pks = list(following.values_list("task", flat=True).distinct()[:BATCH])
        if not pks:
            return
        yield list(with_judgments(chosen, pks))
        last = pks[-1]


def with_judgments(
    chosen: QuerySet[Ranking], pks: list[int]
) -> Iterator[tuple[RankingTask, WithRanks]]:
    """Yield these tasks in the order of their keys, with their chosen rankings and ranks.

    Each ranking has its judge as `by`; None for an adjudication.
    """
    by_task: dict[int, list[Ranking]] = {}
    rankings = list(chosen.filter(task__in=pks).prefetch_related("ranked", *scores.WITH_SCORES))
    judges = Judge.objects.in_bulk({ranking.judge for ranking in rankings})
    for ranking in rankings:
        ranking.by = judges.get(ranking.judge)
        by_task.setdefault(ranking.task_id, []).append(ranking)
    tasks = RankingTask.objects.filter(pk__in=pks).select_related("prompt")
    for task in tasks.order_by("pk").prefetch_related("candidates__model_version"):
        if task.pk in by_task:  # its only ranking may have been undone after the tasks were listed
            task.answers = _sorted_answers(task)
            yield task, [(ranking, _ranks(ranking, task.answers)) for ranking in by_task[task.pk]]


def _sorted_answers(task: RankingTask) -> list[Candidate]:
    return sorted(
        task.candidates.all(),
        key=lambda c: (
            c.text,
            c.model_version.name,
            c.seed if c.seed is not None else -1,
            rows.canonical(c.messages) if c.messages else "",
            c.slot,
        ),
    )


def _ranks(ranking: Ranking, answers: list[Candidate]) -> list[int]:
    """The rank of each answer; an empty list if nothing was ranked."""
    if ranking.outcome != Ranking.Outcome.RANKED:
        return []
    ranks: dict[int, Any] = {  # none is null where something was ranked
        ranked.candidate_id: ranked.rank for ranked in ranking.ranked.all()
    }
    return [ranks[answer.pk] for answer in answers]


def as_row(task: RankingTask, judged: WithRanks) -> dict[str, Any]:
    """One task as a row. It holds no primary key, path or date, so that its digest is the same
    everywhere.
    """
    return _prompt_fields(task.prompt) | {
        "answers": [
            _answer(position, candidate) for position, candidate in enumerate(task.answers)
        ],
        "judgments": [_judgment(ranking, ranks, task.answers) for ranking, ranks in judged],
    }


@dataclass
class Origin:
    """Where the rows of a dataset come from: their rankings' keys, and each judge's number."""

    rankings: array[int] = field(default_factory=lambda: array("q"))
    numbers: dict[str, int] = field(default_factory=dict)


def judge_kinds(judged: WithRanks) -> list[str]:
    """Of what kind the judge of each ranking is."""
    return [judge_kind(ranking.kind, ranking.by) for ranking, _ranks in judged]


def _sort_item(task: RankingTask, judged: WithRanks) -> tuple[str, list[Any], dict[str, Any]]:
    """The sort key of a task, what is sorted: (row, judges, their kinds, keys of its rankings), and
    its brief.

    Judgments are ordered by their judge's UUID, which a number replaces later. Rows are ordered by
    their content, and by those UUIDs only if two rows are otherwise equal.
    """
    judged = sorted(judged, key=lambda item: item[0].judge.hex)
    row = as_row(task, judged)
    judges = [ranking.judge.hex for ranking, _ranks in judged]
    pks = [ranking.pk for ranking, _ranks in judged]
    item = [row, judges, judge_kinds(judged), pks]
    return rows.digest(row) + "".join(judges), item, contamination.brief(row)


def _number_labelers(
    frozen: Iterable[list[Any]], origin: Origin
) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Yield the rows with the kinds of their judges, labelers numbered in the order of their first
    judgment. It fills `origin`.
    """
    numbers = origin.numbers
    for row, judges, kinds, pks in frozen:
        for judgment, judge in zip(row["judgments"], judges, strict=True):
            judgment["labeler"] = numbers.setdefault(judge, len(numbers))
        origin.rankings.extend(pks)
        yield row, kinds


def _save_origin(dataset: Dataset, origin: Origin) -> None:
    """Store which rankings a dataset was frozen from, and which judge each number stands for.

    A dataset that exists is completed: a freeze that was killed may have stored only a part.
    """
    labelers = [
        DatasetLabeler(dataset=dataset, number=number, judge=judge)
        for judge, number in origin.numbers.items()
    ]
    DatasetLabeler.objects.bulk_create(labelers, batch_size=BATCH, ignore_conflicts=True)
    for start in range(0, len(origin.rankings), BATCH):
        DatasetRanking.objects.bulk_create(
            [
                DatasetRanking(dataset=dataset, ranking_id=pk)
                for pk in origin.rankings[start : start + BATCH]
            ],
            ignore_conflicts=True,
        )


def _prompt_fields(prompt: Prompt) -> dict[str, Any]:
    return {
        "prompt_id": prompt.digest,
        "messages": prompt.messages,
        "split": prompt.split,
        "use_case": prompt.use_case,
        "language": prompt.language,
    }


def _answer(position: int, candidate: Candidate) -> dict[str, Any]:
    answer = {
        "id": position,
        "text": candidate.text,
        "model": candidate.model_version.name,
        "finish_reason": candidate.finish_reason,
        "tokens": candidate.tokens,
    }
    if candidate.truncated:  # otherwise the key is absent: rows without it keep their digests
        answer["truncated"] = True
    if candidate.messages is not None:
        answer["messages"] = candidate.messages
    return answer


def _judgment(ranking: Ranking, ranks: list[int], answers: list[Candidate]) -> dict[str, Any]:
    by_candidate: dict[int, RankedCandidate] = {
        ranked.candidate_id: ranked for ranked in ranking.ranked.all()
    }
    ranked_answers = [by_candidate[answer.pk] for answer in answers]
    stored = scores.stored(ranking)
    judgment = {
        "labeler": None,  # numbered once all rows are in their order
        "kind": ranking.kind,
        "outcome": ranking.outcome,
        "ranks": ranks,
        "ratings": [stored.ratings.get(answer.pk) for answer in answers],
        "flags": [sorted(stored.flags.get(answer.pk, ())) for answer in answers],
        "strength": _strength(ranking, ranked_answers),
        "seconds": round(ranking.seconds, 1),
        "weight": 1.0,
    }
    if ranking.prompted:  # a key that says nothing is absent: rows without it keep their digests
        judgment["prompted"] = True
    if ranking.kind == Ranking.Kind.IMPORTED and (kind := _no_person(ranking.by)):
        judgment["judge_kind"] = kind
    return judgment | _scores_and_spans(stored, answers)


def _no_person(judge: Judge | None) -> str:
    """The kind of a judge who is said to be no person; "" where nobody said so."""
    return judge.kind if judge and judge.stated and judge.kind != Judge.Kind.PERSON else ""


def _scores_and_spans(stored: scores.Stored, answers: list[Candidate]) -> dict[str, Any]:
    """The keys that are there only where a ranking says more, so that other rows keep their
    digests. Values of answers are a list in the answers' order, null where none was given.
    """
    extra: dict[str, Any] = {}
    if stored.scores:
        extra["scores"] = {
            name: [value.get(answer.pk) for answer in answers] if isinstance(value, dict) else value
            for name, value in stored.scores.items()
        }
    if stored.spans:
        position = {answer.pk: number for number, answer in enumerate(answers)}
        spans = [
            {
                "answer": position[span.candidate_id],
                "label": span.label,
                "start": span.start,
                "end": span.end,
            }
            for span in stored.spans
        ]
        extra["spans"] = sorted(spans, key=_in_text)
    return extra


def _in_text(span: dict[str, Any]) -> tuple[Any, ...]:
    return span["answer"], span["start"], span["end"], span["label"]


def _strength(ranking: Ranking, ranked: list[RankedCandidate]) -> int | None:
    """How much better answer 0 is than answer 1. The labeler may have seen them reversed."""
    if ranking.strength is None:
        return None
    return ranking.strength if ranked[0].shown < ranked[1].shown else -ranking.strength


# Demonstrations, prompts, text


def _freeze_texts(job: Job, recipe: FreezeRecipe, beat: Beat) -> Dataset:
    """Freeze demonstrations, prompts or plain text: one row each, in the order of their lines."""
    with Sorter(settings.VAR / "datasets") as frozen:
        for done, row in enumerate(ROWS[recipe.kind](job.project, recipe), start=1):
            frozen.add(rows.canonical(row), row, contamination.brief(row))
            if done % BATCH == 0:
                beat(done)
        if next(iter(frozen), None) is None:
            raise nothing_to_freeze(recipe)
        near = contamination.drop(frozen) if recipe.apart else 0
        return _register(job, recipe, ((row, []) for row in frozen), near, beat)


def _in_order(chosen: QuerySet[Row]) -> Iterator[Row]:
    """Yield the objects in batches, by their keys. No query stays open over a beat: SQLite lets no
    connection write while it reads what another one has changed meanwhile.
    """
    last = 0
    while batch := list(chosen.filter(pk__gt=last).order_by("pk")[:BATCH]):
        yield from batch
        last = batch[-1].pk


def demonstrations(project: Project, recipe: FreezeRecipe) -> Iterator[dict[str, Any]]:
    """Rows of demonstrations: the fields of the prompt, and the text that answers it."""
    chosen = selection.demonstrations(project, recipe).select_related("prompt")
    for answer in _in_order(chosen):
        yield _prompt_fields(answer.prompt) | {"text": answer.text} | _cut(answer)


def _cut(answer: Demonstration | Candidate) -> dict[str, Any]:
    """The finish reason of an answer that the sampler cut; other rows lack the key and keep their
    digests.
    """
    was_cut = getattr(answer, "finish_reason", "") == rows.CUT
    return {"finish_reason": rows.CUT} if was_cut else {}


def prompts(project: Project, recipe: FreezeRecipe) -> Iterator[dict[str, Any]]:
    """Rows of prompts."""
    for prompt in _in_order(selection.prompts(project, recipe)):
        yield _prompt_fields(prompt)


def texts(project: Project, recipe: FreezeRecipe) -> Iterator[dict[str, Any]]:
    """Rows of plain text: each answer after its prompt, then the prompts without an answer."""
    answers = selection.demonstrations(project, recipe)
    for answer in _in_order(answers.select_related("prompt")):
        yield _text(answer.prompt, answer.text) | _cut(answer)
    unanswered = selection.prompts(project, recipe).exclude(pk__in=answers.values("prompt"))
    for prompt in _in_order(unanswered):
        yield _text(prompt)


def _text(prompt: Prompt, *answers: str) -> dict[str, Any]:
    turns = map(rows.turn_text, prompt.messages)
    return {
        "prompt_id": prompt.digest,
        "split": prompt.split,
        "text": "\n\n".join([*turns, *answers]),
    }


ROWS = {"demonstrations": demonstrations, "prompts": prompts, "text": texts}
