"""The order in which tasks are offered, and how far each labeler has looked."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import F, Min, QuerySet

from labeling.models import ProjectRules, QueuePosition, RankingTask
from people.models import Project


def key(project: Project) -> str:
    """The field that the project's tasks are in order of."""
    breadth = project.rules.completion == ProjectRules.Completion.BREADTH
    return "turn" if breadth else "sort_key"


@transaction.atomic
def publish(tasks: QuerySet[RankingTask]) -> None:
    """Open tasks that nobody has been given yet."""
    tasks.update(free_places=F("overlap"))
    line_up(tasks)


def line_up(tasks: QuerySet[RankingTask]) -> None:
    """Give tasks their places in the order: by priority, then by arrival. Runs in the transaction
    of a verb.

    Who has looked beyond such a place looks again from there: an urgent task is the next one for
    everybody.
    """
    tasks = tasks.exclude(
        purpose=RankingTask.Purpose.GOLD
    )  # has no place in the order, also when it is put back
    tasks.update(sort_key=F("priority") * RankingTask.PRIORITY + F("pk"))
    firsts = tasks.order_by().values("project").annotate(first=Min("sort_key"))
    for project, first in firsts.values_list("project", "first"):
        look_again(project, first)


def locked(task_id: int) -> RankingTask:
    """The task, while a place on it changes hands or its purpose changes: locked always before the
    place itself.

    Not its key: a submit at the same moment holds its place already, and points at the task.
    """
    tasks = RankingTask.objects.select_for_update(of=("self",), no_key=True)
    return tasks.select_related("project__rules").get(pk=task_id)


def reopen(task: RankingTask) -> None:
    """Free one place of the locked task, and send those who had passed it back to look at it."""
    if task.purpose == RankingTask.Purpose.GOLD:
        return  # its places are not counted: there is one for everybody
    RankingTask.objects.filter(pk=task.pk).update(free_places=F("free_places") + 1)
    task.refresh_from_db(fields=["turn"])
    if task.sort_key is not None:  # not set aside
        look_again(task.project_id, getattr(task, key(task.project)))


def look_again(project_id: int, place: int) -> None:
    """Send everybody who has passed this place in the order back to it.

    All positions are locked first, in one order: who is moving beyond the place just now holds
    theirs.
    """
    positions = _locked_positions(project_id)
    positions.filter(sort_key__gte=place).update(sort_key=place - 1)


def look_from_front(project_id: int, people: Iterable[int]) -> None:
    """Send these people back to the front: tasks anywhere in the order are open to them now."""
    positions = _locked_positions(project_id)
    positions.filter(labeler__in=people).update(sort_key=QueuePosition.FRONT)


def _locked_positions(project_id: int) -> QuerySet[QueuePosition]:
    positions = QueuePosition.objects.filter(project=project_id)
    list(positions.order_by("pk").select_for_update().values_list("pk"))
    return positions
