"""The webhook events of labelers' work. An event without subscribers costs no query."""

from __future__ import annotations

from labeling.models import Assignment, Ranking, RankingTask
from labeling.queue import order
from people import pseudonyms
from people.models import Project, Webhook
from people.webhooks import registry

Event = Webhook.Event


def submitted(project: Project, ranking: Ranking) -> None:
    """A ranking or a revision of one; its labeler is named by the pseudonym that the API uses."""
    if Event.RANKING_SUBMITTED not in project.awaited:
        return
    about = {
        "ranking": ranking.pk,
        "task": ranking.task_id,
        "kind": ranking.kind,
        "revision": ranking.revision,
    }
    about |= {"judge": pseudonyms.of(project, ranking.judge)}
    registry.emit(project, Event.RANKING_SUBMITTED, f"rankings/{ranking.pk}", **about)


def take_turns(assignment: Assignment) -> None:
    """Two who fill the last two places at once must not each believe that the other's is still
    open.
    """
    if Event.TASK_COMPLETE in assignment.project.awaited:
        order.locked(assignment.task_id)


def if_complete(assignment: Assignment) -> None:
    """Tell that all places of the task are filled, if this was the last. A gold task has one for
    everybody.
    """
    project, pk = assignment.project, assignment.task_id
    if Event.TASK_COMPLETE not in project.awaited:
        return
    task = RankingTask.objects.get(pk=pk)
    filled = task.assignments.filter(state=Assignment.State.SUBMITTED).count()
    if filled >= task.overlap and task.purpose != RankingTask.Purpose.GOLD:
        registry.emit(project, Event.TASK_COMPLETE, f"tasks/{pk}", task=pk, rankings=filled)
