"""What happens to a leased place: it is renewed, skipped, given back, expires, or is taken back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from labeling.models import Assignment
from labeling.queue import set_aside
from labeling.queue.eligibility import locked_membership, refuse_who_is_paused
from labeling.queue.order import locked, reopen
from people import audit
from people.db.clock import now
from people.models import Project, User

State = Assignment.State


def take_back(assignment: Assignment) -> None:
    """The submitted place is the labeler's again, and shown before whatever else they hold.

    Raises NotWorking: who is paused holds nothing.
    """
    membership = locked_membership(assignment)
    refuse_who_is_paused(membership)
    lease = {"state": State.LEASED, "leased_until": lease_end(assignment.project), "ended_at": None}
    Assignment.objects.filter(pk=assignment.pk).update(undone_at=now(), ahead=False, **lease)
    assignment.refresh_from_db()


def lease_end(project: Project) -> datetime:
    return now() + timedelta(minutes=project.rules.lease_minutes)


def renew(assignment: Assignment) -> None:
    """The labeler is still at it: this lease runs from now, and so does that of the task that comes
    after it.
    """
    theirs = Assignment.objects.filter(
        labeler=assignment.labeler_id, project=assignment.project_id, state=State.LEASED
    )
    theirs.update(leased_until=lease_end(assignment.project))


def save_draft(assignment: Assignment, draft: dict[str, Any]) -> bool:
    """Keep what is typed so far and run the lease from now; also after the lease ran out. False
    once it was submitted.
    """
    this, fields = Assignment.objects.filter(pk=assignment.pk), {"draft": draft, "draft_at": now()}
    held = this.filter(state=State.LEASED).update(
        leased_until=lease_end(assignment.project), **fields
    )
    return bool(held or this.exclude(state=State.SUBMITTED).update(**fields))


@transaction.atomic
def skip(assignment: Assignment, reason: str) -> None:
    """Give the place to someone else and keep the reason; after enough skips nobody gets it. Twice
    is harmless.
    """
    over = Assignment.objects.filter(pk=assignment.pk, state__in=[State.EXPIRED, State.RETURNED])
    held = _give_up(assignment, State.SKIPPED, skip_reason=reason[:200])
    late = {"state": State.SKIPPED, "skip_reason": reason[:200], "ended_at": now()}
    if held or over.update(**late):  # the place of a late one was freed before
        audit.record(
            assignment.labeler, "skip", assignment, assignment.project, reason=reason[:200]
        )
        set_aside.if_skipped_enough(assignment.task_id)


@transaction.atomic
def give_back(assignment: Assignment, actor: User | None = None) -> None:
    """Return the place without a judgment; the draft stays."""
    if _give_up(assignment, State.RETURNED):
        audit.record(actor, "give back", assignment, assignment.project)


def _give_up(assignment: Assignment, state: State, **fields: Any) -> bool:
    task = locked(assignment.task_id)
    held = Assignment.objects.filter(pk=assignment.pk, state=State.LEASED)
    if not held.update(state=state, leased_until=None, ended_at=now(), **fields):
        return False
    reopen(task)
    return True


def expire(project: Project | None = None) -> int:
    """Free the places whose leases have ended, one short transaction each; returns how many."""
    over = Assignment.objects.filter(state=State.LEASED, leased_until__lt=now())
    over = over.filter(project=project) if project else over
    return sum(_expire_one(assignment) for assignment in over.only("pk", "task_id")[:500])


@transaction.atomic
def _expire_one(assignment: Assignment) -> bool:
    task = locked(assignment.task_id)
    late = Assignment.objects.filter(pk=assignment.pk, state=State.LEASED, leased_until__lt=now())
    if not late.update(state=State.EXPIRED, leased_until=None, ended_at=now()):
        return False
    reopen(task)
    return True
