"""The newest rankings of a project by people, by task, and how many others there are."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from labeling.models import Judge, RankedCandidate, Ranking, RankingTask
from people.models import Project

LOOKED_AT = 2000  # rankings, the newest


def ranks_by_task(project: Project) -> dict[int, list[list[int]]]:
    """By task, the ranks that each person gave its answers, of the newest independent rankings."""
    rankings = Ranking.objects.of_people().independent()
    rankings = rankings.filter(task__project=project, outcome=Ranking.Outcome.RANKED)
    task_of = dict(rankings.order_by("-pk").values_list("pk", "task")[:LOOKED_AT])
    ranks = defaultdict(list)
    answers = RankedCandidate.objects.filter(ranking__in=list(task_of)).order_by("candidate")
    for ranking, rank in answers.values_list("ranking", "rank"):
        ranks[ranking].append(rank)
    by_task = defaultdict(list)
    for ranking, given in ranks.items():
        by_task[task_of[ranking]].append(given)
    return by_task


@dataclass
class Task:
    """What was said of one task: the ranks of its answers, in the order of their ids."""

    prompt: int
    ranks: dict[UUID, list[int]]  # by judge


def _ranked(project: Project) -> QuerySet[Ranking]:
    training = Ranking.objects.filter(
        task__project=project, task__purpose=RankingTask.Purpose.TRAINING
    )
    return training.filter(outcome=Ranking.Outcome.RANKED)


def left_out(project: Project) -> dict[str, int]:
    """How many rankings agreement leaves out, by kind of judge: those by no person. Two queries."""
    counts = _ranked(project).filter(current=True).by_kind()
    counts.pop(Judge.Kind.PERSON, None)
    return counts


def prompted(project: Project) -> int:
    """How many rankings by people agreement leaves out because they were prompted."""
    return _ranked(project).of_people().filter(current=True, prompted=True).count()


def newest(project: Project, most: int) -> list[Task]:
    """The newest `most` independent rankings of training tasks by people, by task: one query."""
    ranked = _ranked(project).of_people().independent()
    answers = RankedCandidate.objects.filter(ranking__in=ranked.order_by("-pk").values("pk")[:most])
    about = ("ranking__task", "ranking__task__prompt", "ranking__judge", "rank")
    tasks: dict[int, Task] = {}
    for task, prompt, judge, rank in answers.order_by("candidate").values_list(*about):
        of_task = tasks.setdefault(task, Task(prompt, {}))
        of_task.ranks.setdefault(judge, []).append(rank)
    return list(tasks.values())
