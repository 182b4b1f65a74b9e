"""Judgments, demonstrations and prompts to frozen rows: streamed, sorted on disk, the same on any
database.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from django.conf import settings
from django.db.models import QuerySet

from labeling.exports import contamination, selection
from labeling.exports.external_sort import Sorter
from labeling.exports.statistics import Portrait
from labeling.models import (
    Candidate,
    DatasetLabeler,
    DatasetRanking,
    Demonstration,
    RankedCandidate,
    Ranking,
    RankingTask,
)
from modelops import datasets, jobs, recipes, rows
from modelops.models import Dataset, Job
from modelops.recipes import FreezeRecipe
from people.models import Project, User

BATCH = 500


class NothingToFreeze(ValueError):
    """There is no judgment, demonstration or prompt to make a dataset of."""


NOTHING = {
    "judgments": "No task has been ranked yet: rank some, or import rankings, then freeze again.",
    "demonstrations": "No demonstration has been written or imported yet.",
    "prompts": "There is no prompt yet: upload some.",
    "text": "There is no prompt yet: upload some.",
}


NOTHING_CHOSEN = "Nothing matches what was chosen: choose less narrowly."
CHOICES = ("since", "until", "use_case", "language", "models", "without", "agreement", "ties")
CHOICES += ("adjudicated", "purpose")


def nothing(recipe: FreezeRecipe) -> NothingToFreeze:
    """Why there is nothing: because of what was chosen, or because nothing is there."""
    chosen = any(getattr(recipe, name) != getattr(FreezeRecipe, name) for name in CHOICES)
    return NothingToFreeze(NOTHING_CHOSEN if chosen else NOTHING[recipe.kind])


def freeze_now(
    actor: User | None, project: Project, kind: str = "judgments", note: str = "", **chosen
) -> Dataset:
    """Freeze here and now, as a job that this process runs. Raises jobs.JobFailed, or
    recipes.InvalidRecipe.
    """
    with jobs.inline(actor, project, Job.Kind.FREEZE, {"kind": kind, "note": note} | chosen) as job:
        try:
            return run(job)
        except (NothingToFreeze, recipes.InvalidRecipe) as error:
            raise jobs.JobFailed(str(error)) from error


def run(job: Job, beat=lambda done: None) -> Dataset:
    """What a freeze job asks for; its result says which dataset that is."""
    dataset = freeze(job, beat)
    figures = {name: dataset.counts[name] for name in ("rows", "pairs")}
    job.result = job.result | {"dataset": dataset.pk} | figures
    return dataset


def freeze(job: Job, beat=lambda done: None) -> Dataset:
    """Freeze what the job's recipe chooses. The same judgments give the same dataset, on any
    database.

    Raises NothingToFreeze.
    """
    recipe = recipes.read(job.kind, job.recipe)
    dataset = (_judgments if recipe.kind == Dataset.Kind.JUDGMENTS else _written)(job, recipe, beat)
    if recipe.replaces:
        old = Dataset.objects.filter(
            project=job.project, digest=recipe.replaces, withdrawn_at__isnull=False
        )
        old.exclude(pk=dataset.pk).update(successor=dataset)
    return dataset


def _register(job: Job, recipe: FreezeRecipe, lines: Iterable[str], near: int) -> Dataset:
    """The dataset of these lines; `near` counts the training rows that were left out for a held-out
    one.
    """
    portrait = Portrait()
    digest, folder = datasets.write(map(portrait.see, lines), recipe.kind)
    figures = portrait.figures() | ({"near_held_out": near} if near else {})
    query = {
        name: value for name, value in vars(recipe).items() if value != getattr(FreezeRecipe, name)
    }
    about = {"job": job, "note": recipe.note, "licence": recipe.licence, "query": query}
    dataset, _new = datasets.register(job.project, recipe.kind, digest, folder, figures, **about)
    if dataset.job_id != job.pk:
        job.result = {"same": True, "changed": _relabel(job, recipe, dataset)}
    return dataset


def _relabel(job: Job, recipe: FreezeRecipe, dataset: Dataset) -> list[str]:
    """Give the same rows their new words; an erasure, which repeats old ones, changes none."""
    if recipe.replaces:
        return []
    words = {"note": recipe.note, "licence": recipe.licence}
    return datasets.relabel(job.requested_by, dataset, **words)


# Judgments


def _judgments(job: Job, recipe: FreezeRecipe, beat) -> Dataset:
    with Sorter(settings.VAR / "datasets") as frozen:
        for done, batch in enumerate(in_batches(selection.rankings(job.project, recipe))):
            for task, judged in batch:
                if judged := selection.keep(judged, recipe):
                    frozen.add(*_sortable(task, judged))
            beat(BATCH * done)
        numbers: dict[str, int] = {}
        if next(iter(frozen), None) is None:
            raise nothing(recipe)
        near = contamination.drop(frozen, lambda item: item[0]) if recipe.apart else 0
        dataset = _register(job, recipe, _numbered(frozen, numbers), near)
        _remember(dataset, frozen, numbers)
    return dataset


def in_batches(chosen: QuerySet[Ranking]) -> Iterator[list[tuple[RankingTask, list]]]:
    """The tasks of these rankings, each with its rankings and their ranks, in a constant number of
    queries a batch.
    """
    last = 0
    while True:
        beyond = (
            chosen.filter(task__gt=last).order_by("task").values_list("task", flat=True).distinct()
        )
        pks = list(beyond[:BATCH])
        if not pks:
            return
        yield list(with_judgments(chosen, pks))
        last = pks[-1]


def with_judgments(chosen: QuerySet[Ranking], pks: list[int]) -> Iterator[tuple[RankingTask, list]]:
    by_task: dict[int, list[Ranking]] = {}
    for ranking in chosen.filter(task__in=pks).prefetch_related("ranked"):
        by_task.setdefault(ranking.task_id, []).append(ranking)
    tasks = RankingTask.objects.filter(pk__in=pks).select_related("prompt")
    for task in tasks.order_by("pk").prefetch_related("candidates__model_version"):
        if task.pk in by_task:  # its only ranking may have been undone since the tasks were listed
            task.answers = _sorted_answers(task)
            yield task, [(ranking, _ranks(ranking, task.answers)) for ranking in by_task[task.pk]]


def _sorted_answers(task: RankingTask) -> list:
    return sorted(
        task.candidates.all(),
        key=lambda c: (c.text, c.model_version.name, c.seed if c.seed is not None else -1, c.slot),
    )


def _ranks(ranking: Ranking, answers: list) -> list[int]:
    """A rank for each answer; none where nothing was ranked."""
    if ranking.outcome != Ranking.Outcome.RANKED:
        return []
    said = {ranked.candidate_id: ranked.rank for ranked in ranking.ranked.all()}
    return [said[answer.pk] for answer in answers]


def as_row(task: RankingTask, judged: list[tuple[Ranking, list[int]]]) -> dict:
    """One task as a row. No primary key, path or date enters it, so that its digest is the same
    everywhere.
    """
    return _prompt_fields(task.prompt) | {
        "answers": [
            _answer(position, candidate) for position, candidate in enumerate(task.answers)
        ],
        "judgments": [_judgment(ranking, ranks, task.answers) for ranking, ranks in judged],
    }


def _sortable(task: RankingTask, judged: list) -> tuple[str, list]:
    """Judgments sort by their judge's UUID, which a number stands for later.

    Rows sort by their content first and by those UUIDs only where two rows are otherwise equal.
    """
    judged = sorted(judged, key=lambda one: one[0].judge.hex)
    row, judges = as_row(task, judged), [ranking.judge.hex for ranking, _ranks in judged]
    return rows.digest(row) + "".join(judges), [
        row,
        judges,
        [ranking.pk for ranking, _ranks in judged],
    ]


def _numbered(frozen: Iterable, numbers: dict[str, int]) -> Iterator[str]:
    """The lines, with labelers numbered by first appearance; `numbers` is filled as they come."""
    for row, judges, _pks in frozen:
        for judgment, judge in zip(row["judgments"], judges, strict=True):
            judgment["labeler"] = numbers.setdefault(judge, len(numbers))
        yield rows.canonical(row)


def _remember(dataset: Dataset, frozen: Iterable, numbers: dict[str, int]) -> None:
    """Which rankings a dataset holds, and whose; again for one that is known: a killed freeze may
    lack some.
    """
    key = [
        DatasetLabeler(dataset=dataset, number=number, judge=judge)
        for judge, number in numbers.items()
    ]
    DatasetLabeler.objects.bulk_create(key, batch_size=BATCH, ignore_conflicts=True)
    held: list[DatasetRanking] = []
    for _row, _judges, pks in frozen:
        held += (DatasetRanking(dataset=dataset, ranking_id=pk) for pk in pks)
        if len(held) >= BATCH:
            DatasetRanking.objects.bulk_create(held, batch_size=BATCH, ignore_conflicts=True)
            held.clear()
    DatasetRanking.objects.bulk_create(held, batch_size=BATCH, ignore_conflicts=True)


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
    } | (
        {"truncated": True} if candidate.truncated else {}
    )  # only then: rows without it keep their digests


def _judgment(ranking: Ranking, ranks: list[int], answers: list) -> dict:
    said: dict[int, RankedCandidate] = {
        ranked.candidate_id: ranked for ranked in ranking.ranked.all()
    }
    ranked = [said[answer.pk] for answer in answers]
    return {
        "labeler": None,  # numbered once all rows are in their order
        "kind": ranking.kind,
        "outcome": ranking.outcome,
        "ranks": ranks,
        "ratings": [one.rating for one in ranked],
        "flags": [sorted(one.flags) for one in ranked],
        "strength": _strength(ranking, ranked),
        "seconds": round(ranking.seconds, 1),
        "weight": 1.0,
    }


def _strength(ranking: Ranking, ranked: list[RankedCandidate]) -> int | None:
    """How much better answer 0 is than answer 1; the labeler may have seen them the other way
    round.
    """
    if ranking.strength is None:
        return None
    return ranking.strength if ranked[0].shown < ranked[1].shown else -ranking.strength


# Demonstrations, prompts, text


def _written(job: Job, recipe: FreezeRecipe, beat) -> Dataset:
    """One row each, in the order of their lines."""
    with Sorter(settings.VAR / "datasets") as frozen:
        for done, row in enumerate(WRITTEN[recipe.kind](job.project, recipe), start=1):
            line = rows.canonical(row)
            frozen.add(line, line)
            if done % BATCH == 0:
                beat(done)
        if next(iter(frozen), None) is None:
            raise nothing(recipe)
        near = contamination.drop(frozen, json.loads) if recipe.apart else 0
        return _register(job, recipe, frozen, near)


def demonstrations(project: Project, recipe: FreezeRecipe) -> Iterator[dict]:
    written = selection.demonstrations(project, recipe).select_related("prompt")
    for one in written.iterator(chunk_size=BATCH):
        yield _prompt_fields(one.prompt) | {"text": one.text} | _cut(one)


def _cut(written: Demonstration | Candidate) -> dict:
    """Says of an answer that the sampler cut that it was; rows without it keep their digests."""
    was_cut = getattr(written, "finish_reason", "") == rows.CUT
    return {"finish_reason": rows.CUT} if was_cut else {}


def prompts(project: Project, recipe: FreezeRecipe) -> Iterator[dict]:
    return (
        _prompt_fields(one) for one in selection.prompts(project, recipe).iterator(chunk_size=BATCH)
    )


def texts(project: Project, recipe: FreezeRecipe) -> Iterator[dict]:
    """What was written to a prompt, after the prompt; a prompt to which nothing was written stands
    alone.
    """
    answered = selection.demonstrations(project, recipe)
    for one in answered.select_related("prompt").iterator(chunk_size=BATCH):
        yield _text(one.prompt, one.text) | _cut(one)
    for prompt in (
        selection.prompts(project, recipe).exclude(pk__in=answered.values("prompt")).iterator(BATCH)
    ):
        yield _text(prompt)


def _text(prompt, *more: str) -> dict:
    text = "\n\n".join([turn["content"] for turn in prompt.messages] + list(more))
    return {"prompt_id": prompt.digest, "split": prompt.split, "text": text}


WRITTEN = {"demonstrations": demonstrations, "prompts": prompts, "text": texts}
