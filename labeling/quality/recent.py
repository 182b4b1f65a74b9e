"""The newest rankings of a project, by task."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from uuid import UUID

from labeling.models import RankedCandidate, Ranking, RankingTask
from people.models import Project

LOOKED_AT = 2000  # rankings, the newest


def ranks_by_task(project: Project) -> dict[int, list[list[int]]]:
    """By task, the ranks that each judge gave its answers, of the newest rankings."""
    found = Ranking.objects.of_judges().filter(
        task__project=project, current=True, outcome=Ranking.Outcome.RANKED
    )
    task_of = dict(found.order_by("-pk").values_list("pk", "task")[:LOOKED_AT])
    ranks = defaultdict(list)
    said = RankedCandidate.objects.filter(ranking__in=list(task_of)).order_by("candidate")
    for one, rank in said.values_list("ranking", "rank"):
        ranks[one].append(rank)
    by_task = defaultdict(list)
    for one, given in ranks.items():
        by_task[task_of[one]].append(given)
    return by_task


@dataclass
class Task:
    """What was said of one task: the ranks of its answers, in the order of their ids."""

    prompt: int
    ranks: dict[UUID, list[int]]  # by judge


def newest(project: Project, most: int) -> list[Task]:
    """The newest `most` current rankings of training tasks, by task: one query."""
    current = Ranking.objects.filter(task__project=project, current=True).of_judges()
    training = current.filter(task__purpose=RankingTask.Purpose.TRAINING)
    ranked = training.filter(outcome=Ranking.Outcome.RANKED)
    said = RankedCandidate.objects.filter(ranking__in=ranked.order_by("-pk").values("pk")[:most])
    about = ("ranking__task", "ranking__task__prompt", "ranking__judge", "rank")
    tasks: dict[int, Task] = {}
    for task, prompt, judge, rank in said.order_by("candidate").values_list(*about):
        of_task = tasks.setdefault(task, Task(prompt, {}))
        of_task.ranks.setdefault(judge, []).append(rank)
    return list(tasks.values())
