"""Tasks that several people skipped: out of the order until an admin puts them back, or retires
them.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.utils.timezone import now

from labeling.models import Assignment, RankingTask
from labeling.queue import order
from people import audit
from people.models import User

State = RankingTask.State


def skips(task: RankingTask) -> QuerySet[Assignment]:
    """Who skipped the task since it was last put back."""
    skipped = task.assignments.filter(state=Assignment.State.SKIPPED)
    return skipped.filter(ended_at__gt=task.put_back_at) if task.put_back_at else skipped


def if_skipped_enough(task_id: int) -> None:
    """Set the task aside once as many people have skipped it as the project says. Runs in the
    transaction of a skip.
    """
    task = (
        RankingTask.objects.select_for_update(of=("self",))
        .select_related("project__rules")
        .get(pk=task_id)
    )
    count = skips(task).count()
    if task.state == State.OPEN and count >= task.project.rules.skips_to_set_aside:
        RankingTask.objects.filter(pk=task.pk).update(state=State.SET_ASIDE, sort_key=None)
        audit.record(None, "set aside", task, task.project, skips=count)


@transaction.atomic
def put_back(actor: User, task: RankingTask) -> None:
    """Offer the task again, at its old place in the order, to those who have not skipped it. Twice
    is harmless.
    """
    queryset = RankingTask.objects.filter(pk=task.pk)
    if queryset.exclude(state=State.OPEN).update(state=State.OPEN, put_back_at=now()):
        order.line_up(queryset)
        audit.record(actor, "put back", task, task.project)


@transaction.atomic
def retire(actor: User, task: RankingTask) -> None:
    """Stop offering the task; its rankings stay. Only a task that is set aside can be retired."""
    if RankingTask.objects.filter(pk=task.pk, state=State.SET_ASIDE).update(state=State.RETIRED):
        audit.record(actor, "retire", task, task.project)
