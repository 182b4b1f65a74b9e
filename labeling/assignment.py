"""Who works on which task: lease, choose the next, give back, expire.

A place is taken by one conditional UPDATE of the task's `free_places`, in the same transaction that writes the
assignment, so that the overlap can not be exceeded however many ask at once. The order of tasks is `sort_key`.
"""

from __future__ import annotations

import random
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef
from django.utils.timezone import now
from django.utils.translation import gettext as _

from labeling.models import Assignment, QueuePosition, RankingTask
from people import audit
from people.models import Membership, Project, User

State = Assignment.State


class NotWorking(Exception):
    """This person is given no tasks here now; the text says why."""


class LeaseLost(Exception):
    """The lease ran out and the place went to someone else; the draft is kept."""


def next_for(membership: Membership) -> Assignment | None:
    """The task that this labeler holds, else the next one in the order, leased; None when none is open to them.

    Raises NotWorking when the project or the membership is paused.
    """
    project, labeler = membership.project, membership.user
    held = current(project, labeler)
    if held is not None:
        return held
    return claim(membership)


def refuse_unless_working(membership: Membership) -> None:
    if membership.project.state != Project.State.OPEN:
        raise NotWorking(membership.project.get_state_display())
    if membership.paused:
        raise NotWorking(_("Your work in this project is paused; ask its admin."))


def current(project: Project, labeler: User) -> Assignment | None:
    """The unexpired lease that this labeler holds here."""
    held = Assignment.objects.filter(labeler=labeler, project=project, state=State.LEASED, leased_until__gte=now())
    return held.order_by("pk").first()


def claim(membership: Membership) -> Assignment | None:
    """Lease the next open task to this labeler, in one short transaction; expired leases are freed if none is found."""
    assignment = _claim_once(membership)
    if assignment is None and expire(membership.project):
        assignment = _claim_once(membership)
    return assignment


@transaction.atomic
def _claim_once(membership: Membership) -> Assignment | None:
    """Locks, always in this order: the membership, the task, positions."""
    membership = (
        Membership.objects.select_for_update(of=("self",)).select_related("project", "user").get(pk=membership.pk)
    )
    refuse_unless_working(membership)  # it may have been paused while this waited
    project, labeler = membership.project, membership.user
    again = current(project, labeler)  # asked by two tabs at once: both get the one lease
    if again is not None:
        return again
    position, _new = QueuePosition.objects.get_or_create(project=project, labeler=labeler)
    task = _first_open(project, labeler, position.sort_key) or _first_open(project, labeler, QueuePosition.FRONT)
    if task is None:
        return None
    assignment = _lease(task, labeler)
    QueuePosition.objects.filter(pk=position.pk).update(sort_key=task.sort_key)
    return assignment


def _first_open(project: Project, labeler: User, beyond: int) -> RankingTask | None:
    """The first task after `beyond` with a free place that this labeler has not seen, locked against other claims."""
    seen = Assignment.objects.filter(task=OuterRef("pk"), labeler=labeler, state__in=Assignment.OVER)
    tasks = RankingTask.objects.filter(~Exists(seen), project=project, free_places__gt=0, sort_key__gt=beyond)
    tasks = tasks.order_by("sort_key")
    if connection.features.has_select_for_update_skip_locked:
        # A task that another claim holds just now may be the last one: only then wait for it.
        return (
            tasks.select_for_update(skip_locked=True).first()
            or (beyond == QueuePosition.FRONT and _locked(tasks))
            or None
        )
    return tasks.first()


def _locked(tasks) -> RankingTask | None:
    task = tasks.select_for_update().first()
    return task if task is not None and task.free_places > 0 else None


def _lease(task: RankingTask, labeler: User) -> Assignment | None:
    place = _take_place(task)
    if place is None:
        return None
    order = list(task.candidates.order_by("pk").values_list("pk", flat=True))
    random.SystemRandom().shuffle(order)
    until = now() + timedelta(minutes=task.project.lease_minutes)
    # A lease that expired or was given back leaves a row: it is used again, with its order and draft.
    assignment, new = Assignment.objects.get_or_create(
        task=task,
        labeler=labeler,
        defaults={"project_id": task.project_id, "place": place, "leased_until": until, "order": order},
    )
    if not new:
        fields = {"state": State.LEASED, "place": place, "leased_until": until, "ended_at": None}
        Assignment.objects.filter(pk=assignment.pk).update(**fields)
        assignment.refresh_from_db()
    return assignment


def _take_place(task: RankingTask) -> int | None:
    """The smallest place that nobody holds, taken off the task's free ones; None when there is none left."""
    if not RankingTask.objects.filter(pk=task.pk, free_places__gt=0).update(free_places=F("free_places") - 1):
        return None
    taken = set(task.assignments.filter(state__in=Assignment.HOLDING).values_list("place", flat=True))
    return next(place for place in range(task.overlap) if place not in taken)


def reclaim(assignment: Assignment) -> None:
    """Hold the place of an expired lease once more, to submit after all. Raises LeaseLost when it went to others."""
    task = RankingTask.objects.select_for_update().get(pk=assignment.task_id)
    place = _take_place(task)
    if place is None:
        raise LeaseLost
    assignment.state, assignment.place = State.LEASED, place
    assignment.leased_until = now() + timedelta(minutes=1)
    assignment.save(update_fields=["state", "place", "leased_until"])


def renew(assignment: Assignment) -> None:
    """The labeler is still at it: the lease runs from now."""
    until = now() + timedelta(minutes=assignment.project.lease_minutes)
    Assignment.objects.filter(pk=assignment.pk, state=State.LEASED).update(leased_until=until)


def save_draft(assignment: Assignment, draft: dict) -> bool:
    """Keep what is typed so far and run the lease from now; also after the lease ran out. False once it was submitted."""
    this, fields = Assignment.objects.filter(pk=assignment.pk), {"draft": draft, "draft_at": now()}
    until = now() + timedelta(minutes=assignment.project.lease_minutes)
    held = this.filter(state=State.LEASED).update(leased_until=until, **fields)
    return bool(held or this.exclude(state=State.SUBMITTED).update(**fields))


@transaction.atomic
def skip(assignment: Assignment, reason: str) -> None:
    """Give the place to someone else and keep the reason. Skipping twice is harmless."""
    over = Assignment.objects.filter(pk=assignment.pk, state__in=[State.EXPIRED, State.RETURNED])
    held = _give_up(assignment, State.SKIPPED, skip_reason=reason[:200])
    if held or over.update(state=State.SKIPPED, skip_reason=reason[:200]):  # its place was freed before
        audit.record(assignment.labeler, "skip", assignment, assignment.project, reason=reason[:200])


@transaction.atomic
def give_back(assignment: Assignment, actor: User | None = None) -> None:
    """Return the place without a judgment; the draft stays."""
    if _give_up(assignment, State.RETURNED):
        audit.record(actor, "give back", assignment, assignment.project)


def _give_up(assignment: Assignment, state: State, **fields) -> bool:
    held = Assignment.objects.filter(pk=assignment.pk, state=State.LEASED)
    if not held.update(state=state, leased_until=None, ended_at=now(), **fields):
        return False
    reopen(assignment.task_id)
    return True


def reopen(task_id: int) -> None:
    """Free one place of the task, and send those who had passed it back to look at it."""
    RankingTask.objects.filter(pk=task_id).update(free_places=F("free_places") + 1)
    task = RankingTask.objects.only("project_id", "sort_key").get(pk=task_id)
    passed = QueuePosition.objects.filter(project=task.project_id, sort_key__gte=task.sort_key)
    locked = passed.order_by("pk").select_for_update().values_list("pk", flat=True)  # two at once lock in one order
    QueuePosition.objects.filter(pk__in=list(locked)).update(sort_key=task.sort_key - 1)


def expire(project: Project | None = None) -> int:
    """Free the places whose leases have ended, one short transaction each; returns how many."""
    over = Assignment.objects.filter(state=State.LEASED, leased_until__lt=now())
    over = over.filter(project=project) if project else over
    return sum(_expire_one(assignment) for assignment in over.only("pk", "task_id")[:500])


@transaction.atomic
def _expire_one(assignment: Assignment) -> bool:
    late = Assignment.objects.filter(pk=assignment.pk, state=State.LEASED, leased_until__lt=now())
    if not late.update(state=State.EXPIRED, leased_until=None, ended_at=now()):
        return False
    reopen(assignment.task_id)
    return True
