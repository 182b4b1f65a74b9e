"""What a sampling job still lacks, what it has got, and the ranking tasks that come of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from django.db import transaction
from django.db.models import Count, Q

from labeling.models import Candidate, Prompt, RankingTask
from labeling.order import publish
from modelops import rows
from modelops.models import Job

GROUP = 250  # prompts whose filled slots are looked up together


@dataclass(frozen=True)
class Slot:
    """A place for one answer: the `number`-th of this prompt."""

    prompt: Prompt
    number: int


@dataclass(frozen=True)
class Answer:
    text: str
    tokens: int
    finish_reason: str
    logprob: float | None
    seed: int


def prompts_of(job: Job):
    """The published prompts that a sampling job answers, in a fixed order; later arrivals are not its business."""
    prompts = Prompt.objects.filter(project=job.project, published=True, created_at__lte=job.created_at)
    split = job.recipe["split"]
    if split == "held-out":
        return prompts.filter(split__in=rows.HELD_OUT).order_by("pk")
    return (prompts if split == "all" else prompts.filter(split=split)).order_by("pk")


def wanted(job: Job) -> int:
    return prompts_of(job).count() * job.recipe["k"]


def filled(job: Job) -> int:
    return Candidate.objects.filter(job=job).count()


def missing(job: Job, size: int) -> Iterator[list[Slot]]:
    """The slots that have no answer yet, in batches of at most `size`."""
    slots = (slot for group in _groups(job) for slot in _unfilled(job, group))
    while batch := list(islice(slots, size)):
        yield batch


def _groups(job: Job) -> Iterator[list[Prompt]]:
    """Read group by group: a cursor left open would pin an old snapshot, and SQLite refuses to write from one."""
    pks = list(prompts_of(job).values_list("pk", flat=True))
    for start in range(0, len(pks), GROUP):
        yield list(Prompt.objects.filter(pk__in=pks[start : start + GROUP]).order_by("pk"))


def _unfilled(job: Job, prompts: list[Prompt]) -> Iterator[Slot]:
    have = set(Candidate.objects.filter(job=job, prompt__in=prompts).values_list("prompt_id", "slot"))
    for prompt in prompts:
        for number in range(job.recipe["k"]):
            if (prompt.pk, number) not in have:
                yield Slot(prompt, number)


@transaction.atomic
def add(job: Job, slots: list[Slot], answers: list[Answer]) -> None:
    """Keep a batch of answers, and publish the tasks of the prompts that it completes. Twice is harmless."""
    filled = zip(slots, answers, strict=True)
    Candidate.objects.bulk_create(
        (
            Candidate(
                job=job,
                model_version_id=job.model_version_id,
                prompt=slot.prompt,
                slot=slot.number,
                **_storable(answer),
            )
            for slot, answer in filled
        ),
        ignore_conflicts=True,
    )
    if job.recipe["rank"] and job.recipe["k"] > 1:
        build_tasks(job, {slot.prompt.pk for slot in slots})


def _storable(answer: Answer) -> dict:
    """The answer's fields; PostgreSQL keeps no NUL in a text."""
    return vars(answer) | {"text": answer.text.replace("\0", "")}


def build_tasks(job: Job, prompt_ids: Iterable[int]) -> None:
    """Make one ranking task of each of these prompts that has all its answers and no task of this job yet."""
    complete = (
        Prompt.objects.filter(pk__in=prompt_ids)
        .exclude(tasks__job=job)
        .annotate(answers=Count("candidates", filter=Q(candidates__job=job)))
        .filter(answers=job.recipe["k"])
        .values_list("pk", flat=True)
    )
    overlap = job.project.overlap
    tasks = RankingTask.objects.bulk_create(
        RankingTask(project=job.project, prompt_id=pk, job=job, overlap=overlap, priority=job.priority)
        for pk in complete
    )
    by_prompt = {task.prompt_id: task.pk for task in tasks}
    answers = Candidate.objects.filter(job=job, prompt__in=by_prompt).values_list("prompt_id", "pk")
    through = RankingTask.candidates.through
    through.objects.bulk_create(
        through(rankingtask_id=by_prompt[prompt], candidate_id=candidate) for prompt, candidate in answers
    )
    publish(RankingTask.objects.filter(pk__in=by_prompt.values()))
