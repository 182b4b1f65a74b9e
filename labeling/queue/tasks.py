"""The ranking tasks that are made of a sampling job's answers."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Count, Q

from labeling.models import Candidate, Prompt, RankingTask
from labeling.queue.order import publish
from modelops.models import Job


def build_tasks(job: Job, prompt_ids: Iterable[int]) -> None:
    """Make one ranking task of each of these prompts that has all its answers and no task of this
    job yet.
    """
    complete = (
        Prompt.objects.filter(pk__in=prompt_ids)
        .exclude(tasks__job=job)
        .annotate(answers=Count("candidates", filter=Q(candidates__job=job)))
        .filter(answers=job.recipe["k"])
        .values_list("pk", flat=True)
    )
    overlap = job.project.rules.overlap
    tasks = RankingTask.objects.bulk_create(
        RankingTask(
            project=job.project, prompt_id=pk, job=job, overlap=overlap, priority=job.priority
        )
        for pk in complete
    )
    by_prompt = {task.prompt_id: task.pk for task in tasks}
    answers = Candidate.objects.filter(job=job, prompt__in=by_prompt).values_list("prompt_id", "pk")
    through = RankingTask.candidates.through
    through.objects.bulk_create(
        through(rankingtask_id=by_prompt[prompt], candidate_id=candidate)
        for prompt, candidate in answers
    )
    publish(RankingTask.objects.filter(pk__in=by_prompt.values()))
