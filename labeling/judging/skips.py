"""Takes a skip back, for as long as a submit can be undone."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils.timezone import now
from django.utils.translation import gettext as _

from labeling.judging.rankings import UNDO, TooLate
from labeling.models import Assignment, RankingTask, Seen
from labeling.queue import claims, leases
from labeling.queue.eligibility import NotWorking, locked_membership
from labeling.queue.order import locked
from people import audit
from people.db.compiled import compiled
from people.models import Project, User

State = Assignment.State


def last_of(project: Project, labeler: User) -> tuple[int, datetime] | None:
    """The place that this labeler skipped last and when, while the skip can be taken back."""
    rows = _skipped_since(labeler.pk, project.pk, now() - UNDO)
    return rows[0] if rows else None


@compiled
def _skipped_since(
    labeler: int, project: int, at: datetime
) -> QuerySet[Assignment, tuple[int, datetime | None]]:
    skipped = Assignment.objects.filter(labeler=labeler, project=project, state=State.SKIPPED)
    return skipped.filter(ended_at__gt=at).order_by("-ended_at").values_list("pk", "ended_at")[:1]


@transaction.atomic
def undo(assignment: Assignment) -> Assignment:
    """The skipped task is the labeler's again, with its draft.

    Raises TooLate after ten minutes, once somebody else has the place, once the task is set aside
    or the skip was taken back already, once the labeler has seen what others say of the task, or
    while they are paused.
    """
    try:
        locked_membership(assignment)  # before the task, as a claim does
        _refuse_if_too_late(assignment)
        claims.reclaim(assignment)
        leases.take_back(assignment)
    except claims.LeaseLost:
        raise TooLate(_("Someone else has taken this task since you skipped it.")) from None
    except NotWorking as why:
        raise TooLate(str(why)) from why
    Assignment.objects.filter(pk=assignment.pk).update(skip_reason="")
    audit.record(assignment.labeler, "undo skip", assignment, assignment.project)
    return assignment


def _refuse_if_too_late(assignment: Assignment) -> None:
    task = locked(assignment.task_id)
    assignment.refresh_from_db(fields=["state", "ended_at", "place"])
    if assignment.state != State.SKIPPED or now() - assignment.ended_at > UNDO:
        raise TooLate(_("There is no skip to undo: it was undone already, or is too old."))
    if task.state != RankingTask.State.OPEN:
        raise TooLate(_("The task was set aside, because several people skipped it."))
    if Seen.objects.filter(task=task, person=assignment.labeler_id).exists():
        raise TooLate(_("You have seen what others say of this task since you skipped it."))
