"""What a sampling job still lacks, and what it has got."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from labeling.models import Candidate, Prompt
from labeling.queue.tasks import build_tasks
from modelops import registry, rows
from modelops.models import Job, ModelVersion

GROUP = 250  # prompts whose filled slots are looked up together


@dataclass(frozen=True)
class Slot:
    """A place for one answer: the `number`-th of this prompt, by `version` (default: the job's
    own).
    """

    prompt: Prompt
    number: int
    version: ModelVersion | None = None


@dataclass(frozen=True)
class Answer:
    text: str
    tokens: int
    finish_reason: str
    logprob: float | None
    seed: int
    reward: float | None = None
    duplicate: bool = False
    truncated: bool = False


def prompts_of(job: Job) -> QuerySet[Prompt]:
    """The published prompts that a sampling job answers, in a fixed order; later arrivals are not
    its business.
    """
    prompts = Prompt.objects.filter(
        project=job.project, published=True, created_at__lte=job.created_at
    )
    if job.recipe.get("unanswered"):
        prompts = prompts.exclude(candidates__job__lt=job.pk)
    split = job.recipe["split"]
    if split == "held-out":
        return prompts.filter(split__in=rows.HELD_OUT).order_by("pk")
    return (prompts if split == "all" else prompts.filter(split=split)).order_by("pk")


def wanted(job: Job) -> int:
    return prompts_of(job).count() * int(job.recipe["k"])


def filled(job: Job) -> int:
    return Candidate.objects.filter(job=job).count()


def versions(job: Job) -> list[ModelVersion]:
    """The versions that answer, the job's own first. Raises ModelVersion.DoesNotExist when one is
    gone.
    """
    own = job.model_version
    if own is None:
        raise ModelVersion.DoesNotExist("The job names no model version")
    names = dict.fromkeys(job.recipe.get("others", "").splitlines())
    by_name = {
        version.name: version for version in registry.visible(job.project).filter(name__in=names)
    }
    for name in names:
        if name not in by_name:
            raise ModelVersion.DoesNotExist(f"There is no model version named {name}")
    return [own, *(by_name[name] for name in names if by_name[name] != own)]


def missing(job: Job, size: int, version: ModelVersion | None = None) -> Iterator[list[Slot]]:
    """The slots without an answer, of one version or all: lists of `size` or a few more, a prompt's
    slots in one.
    """
    window, dealt = [], versions(job)
    for group in _groups(job):
        for slots in _unfilled(job, group, dealt):
            window += [slot for slot in slots if version in (None, slot.version)]
            if len(window) >= size:
                yield window
                window = []
    if window:
        yield window


def _groups(job: Job) -> Iterator[list[Prompt]]:
    """Read group by group: a cursor left open would pin an old snapshot, and SQLite refuses to
    write from one.
    """
    pks = list(prompts_of(job).values_list("pk", flat=True))
    for start in range(0, len(pks), GROUP):
        yield list(Prompt.objects.filter(pk__in=pks[start : start + GROUP]).order_by("pk"))


def _unfilled(job: Job, prompts: list[Prompt], dealt: list[ModelVersion]) -> Iterator[list[Slot]]:
    """Each prompt's empty slots."""
    have = set(
        Candidate.objects.filter(job=job, prompt__in=prompts).values_list("prompt_id", "slot")
    )
    for prompt in prompts:
        slots = [
            Slot(prompt, number, _dealt(dealt, prompt, number)) for number in range(job.recipe["k"])
        ]
        yield [slot for slot in slots if (prompt.pk, slot.number) not in have]


def _dealt(versions: list[ModelVersion], prompt: Prompt, number: int) -> ModelVersion:
    """In turn, from another version on for each prompt, so that all answer about as often whatever
    K is.
    """
    return versions[(int(prompt.digest[:8], 16) + number) % len(versions)]


def marked(job: Job, drawn: list[tuple[Slot, Answer]]) -> list[tuple[Slot, Answer]]:
    """What was drawn, by prompt and slot; a text that its prompt has already, or on a lower slot
    here, is a duplicate.
    """
    prompts = {slot.prompt.pk for slot, _ in drawn}
    seen = set(
        Candidate.objects.filter(job=job, prompt__in=prompts).values_list("prompt_id", "text")
    )
    result = []
    for slot, answer in sorted(drawn, key=lambda pair: (pair[0].prompt.pk, pair[0].number)):
        key = (slot.prompt.pk, _storable(answer)["text"])
        result.append((slot, replace(answer, duplicate=key in seen)))
        seen.add(key)
    return result


@transaction.atomic
def add(job: Job, slots: list[Slot], answers: list[Answer]) -> None:
    """Keep a batch of answers, and publish the tasks of the prompts that it completes. Twice is
    harmless.
    """
    writer = {
        version: _writer(job, version) for version in {_answering(job, slot) for slot in slots}
    }
    Candidate.objects.bulk_create(
        (
            Candidate(
                job=job,
                model_version=writer[_answering(job, slot)],
                prompt=slot.prompt,
                slot=slot.number,
                **_storable(answer),
            )
            for slot, answer in zip(slots, answers, strict=True)
        ),
        ignore_conflicts=True,
    )
    if job.recipe["rank"] and job.recipe["k"] > 1:
        build_tasks(job, {slot.prompt.pk for slot in slots})


def _answering(job: Job, slot: Slot) -> ModelVersion:
    version = slot.version or job.model_version
    assert version is not None  # every sampling job has one
    return version


def _writer(job: Job, version: ModelVersion) -> ModelVersion:
    """Who is said to have answered: of several draws the version and its judge together, which are
    a policy of their own.
    """
    n = job.recipe.get("best_of", 1)
    if n == 1:
        return version
    assert job.reward_model is not None  # the job was refused without one
    return registry.best_of(job.project, version, n, job.reward_model)


def _storable(answer: Answer) -> dict[str, Any]:
    """The answer's fields; PostgreSQL keeps no NUL in a text."""
    return vars(answer) | {"text": answer.text.replace("\0", "")}
