"""Who works on which task: lease, choose the next, give back, expire.

A place is taken by one conditional UPDATE of the task's `free_places`, in the same transaction that writes the
assignment, so that the overlap can not be exceeded however many ask at once. The order of tasks is in `order`.
Gold tasks, for which there is no overlap, come now and then in place of the task that would be next.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from itertools import count

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils.formats import date_format
from django.utils.timezone import localtime, now
from django.utils.translation import gettext as _

from labeling import set_aside
from labeling.models import Assignment, QueuePosition, RankingTask
from labeling.order import key, locked, reopen
from people import audit
from people.models import Membership, Project, User

State, Purpose = Assignment.State, RankingTask.Purpose


class NotWorking(Exception):
    """This person is given no tasks here now; the text says why."""


class LeaseLost(Exception):
    """The lease ran out and the place went to someone else; the draft is kept."""


def next_for(membership: Membership) -> Assignment | None:
    """The task that this labeler holds, else the next one in the order, leased; None when none is open to them.

    Raises NotWorking when the project, the membership or the account is paused, or the day's limit is reached.
    """
    project, labeler = membership.project, membership.user
    held = current(project, labeler)
    if held is None:
        return claim(membership)
    if held.ahead:
        _open(held)
    return held


def refuse_unless_working(membership: Membership) -> None:
    if membership.project.state != Project.State.OPEN:
        raise NotWorking(membership.project.get_state_display())
    refuse_who_is_paused(membership)


def refuse_who_is_paused(membership: Membership) -> None:
    if membership.paused:
        raise NotWorking(_("Your work in this project is paused; ask its admin."))
    if not membership.user.is_active:  # its sessions end, but a request may be on its way
        raise NotWorking(_("Your account is paused."))


def refuse_beyond_daily_limit(project: Project, labeler: User, at_hand: int) -> None:
    if project.daily_limit is None:
        return
    begun, ends = project.day()
    done = Assignment.objects.filter(labeler=labeler, project=project, state=State.SUBMITTED, ended_at__gte=begun)
    if done.count() + at_hand >= project.daily_limit:
        said = {"limit": project.daily_limit, "when": date_format(localtime(ends), "j M, H:i")}
        raise NotWorking(
            _("You have reached this project's limit of %(limit)d a day. The next task comes on %(when)s.") % said
        )


def current(project: Project, labeler: User) -> Assignment | None:
    """The unexpired lease that this labeler works on; of several, the one whose submit was undone last."""
    return held_by(project, labeler).first()


def held_by(project: Project, labeler: User) -> QuerySet[Assignment]:
    """The unexpired leases of this labeler: the one at hand first, one leased ahead last."""
    held = Assignment.objects.filter(labeler=labeler, project=project, state=State.LEASED, leased_until__gte=now())
    return held.order_by("ahead", F("undone_at").desc(nulls_last=True), "pk")


def claim(membership: Membership) -> Assignment | None:
    """Lease the next open task to this labeler, in one short transaction; expired leases are freed if none is found."""
    assignment = _claim_once(membership)
    if assignment is None and expire(membership.project):
        assignment = _claim_once(membership)
    return assignment


@transaction.atomic
def _claim_once(membership: Membership) -> Assignment | None:
    membership = _working(membership)
    again = current(membership.project, membership.user)  # asked by two tabs at once: both get the one lease
    return again or _lease_next(membership)


@transaction.atomic
def lease_ahead(membership: Membership, at_hand: Assignment) -> Assignment | None:
    """The place after the one at hand, leased already so that nobody waits for it; None when nothing else is open.

    Raises NotWorking like `next_for`.
    """
    membership = _working(membership)
    held = list(held_by(membership.project, membership.user))
    if at_hand not in held:
        return None
    others = [assignment for assignment in held if assignment != at_hand]
    return others[0] if others else _lease_next(membership, ahead=True)


def open_ahead(membership: Membership, pk: str) -> bool:
    """The labeler looks at the place that was leased ahead; False when it is not theirs (any more)."""
    if not pk.isascii() or not pk.isdigit():
        return False
    return _open(Assignment(pk=int(pk), labeler=membership.user, project=membership.project))


def _open(assignment: Assignment) -> bool:
    theirs = Assignment.objects.filter(pk=assignment.pk, labeler=assignment.labeler_id, project=assignment.project_id)
    return bool(theirs.filter(state=State.LEASED, leased_until__gte=now()).update(ahead=False))


def _working(membership: Membership) -> Membership:
    """The membership, locked. Locks come always in this order: the membership, the task, a place on it, positions."""
    membership = _locked_membership(pk=membership.pk)
    refuse_unless_working(membership)  # it may have been paused while this waited
    return membership


def _locked_membership(**which) -> Membership:
    members = Membership.objects.select_for_update(of=("self",)).select_related("project", "user")
    membership = members.filter(**which).first()
    if membership is None:
        raise NotWorking(_("You are not in this project any more."))
    return membership


def _lease_next(membership: Membership, ahead: bool = False) -> Assignment | None:
    project, labeler = membership.project, membership.user
    refuse_beyond_daily_limit(project, labeler, at_hand=int(ahead))
    position, _new = QueuePosition.objects.get_or_create(project=project, labeler=labeler)
    task = (
        _open_to(labeler, project, beyond=position.sort_key).select_for_update(skip_locked=True).first()
        or _open_to(labeler, project).select_for_update(skip_locked=True).first()
        or _awaited(_open_to(labeler, project))
    )
    if task is None:
        return None
    gold = _gold_instead(membership)
    if gold and (assignment := _lease(gold, project, labeler, ahead)):
        return assignment
    assignment = _lease(task, project, labeler, ahead)
    if assignment is not None:
        QueuePosition.objects.filter(pk=position.pk).update(sort_key=getattr(task, key(project)))
    return assignment


def _gold_instead(membership: Membership) -> RankingTask | None:
    """A gold task for this labeler in place of the next one, as often as the project says; none for admins: they know
    the keys. Only in place of one: where nothing else is open, what came by looking again would be known for gold.
    """
    project = membership.project
    if not project.gold_share or membership.role == Membership.Role.ADMIN or not drawn(project.gold_share):
        return None
    return _gold_for(membership.user, project).select_for_update(skip_locked=True, no_key=True).first()


def drawn(percent: int) -> bool:
    """Drawn anew for each lease: no pattern to be learnt, no count that could drift."""
    return random.SystemRandom().randrange(100) < percent


def _gold_for(labeler: User, project: Project) -> QuerySet[RankingTask]:
    """The gold tasks that this labeler has not seen, the oldest first."""
    tasks = RankingTask.objects.filter(_unseen(labeler), project=project, purpose=Purpose.GOLD)
    return tasks.filter(state=RankingTask.State.OPEN).order_by("pk")


def _unseen(labeler: User) -> Exists:
    return ~Exists(Assignment.objects.filter(task=OuterRef("pk"), labeler=labeler, state__in=Assignment.OVER))


def _open_to(labeler: User, project: Project, beyond: int = QueuePosition.FRONT) -> QuerySet[RankingTask]:
    """The tasks with a free place that this labeler has not seen, in their order."""
    tasks = RankingTask.objects.filter(_unseen(labeler), project=project, free_places__gt=0)
    return tasks.filter(**{f"{key(project)}__gt": beyond}).order_by(key(project))


def _awaited(tasks: QuerySet[RankingTask]) -> RankingTask | None:
    """A claim passes over what another one has locked; when nothing else is left, it waits for what that one leaves."""
    if not connection.features.has_select_for_update_skip_locked:
        return None  # writers queue for the database: nothing was passed over
    return tasks.select_for_update().first()


def _lease(task: RankingTask, project: Project, labeler: User, ahead: bool = False) -> Assignment | None:
    """A place on the locked task. A lease that expired or was given back left a row: it is used again, with its draft."""
    earlier = Assignment.objects.select_for_update().filter(task=task, labeler=labeler).first()
    if earlier is not None and earlier.state in Assignment.OVER:
        return None  # submitted or skipped late, while this waited for the task
    place = _take_place(task)
    if place is None:
        return None
    lease = {"state": State.LEASED, "place": place, "leased_until": _from_now(project), "ahead": ahead}
    if earlier is None:
        return Assignment.objects.create(task=task, labeler=labeler, project=project, order=_shuffled(task), **lease)
    Assignment.objects.filter(pk=earlier.pk).update(ended_at=None, undone_at=None, **lease)
    earlier.refresh_from_db()
    return earlier


def _shuffled(task: RankingTask) -> list[int]:
    """The answers in an order of this labeler's own."""
    order = list(task.candidates.order_by("pk").values_list("pk", flat=True))
    random.SystemRandom().shuffle(order)
    return order


def _take_place(task: RankingTask) -> int | None:
    """The smallest place that nobody holds, taken off the task's free ones; None when there is none left.

    On a gold task there is one for everybody.
    """
    free = RankingTask.objects.filter(pk=task.pk, free_places__gt=0)
    if task.purpose != Purpose.GOLD and not free.update(free_places=F("free_places") - 1):
        return None
    taken = set(task.assignments.filter(state__in=Assignment.HOLDING).values_list("place", flat=True))
    return next(place for place in count() if place not in taken)


def reclaim(assignment: Assignment) -> None:
    """Hold the place of an expired lease once more, to submit after all. Raises LeaseLost when it went to others."""
    place = _take_place(locked(assignment.task_id))
    if place is None:
        raise LeaseLost
    assignment.state, assignment.place = State.LEASED, place
    assignment.leased_until = now() + timedelta(minutes=1)
    assignment.save(update_fields=["state", "place", "leased_until"])


def take_back(assignment: Assignment) -> None:
    """The submitted place is the labeler's again, and shown before whatever else they hold.

    Raises NotWorking: who is paused holds nothing.
    """
    refuse_who_is_paused(_locked_membership(project=assignment.project_id, user=assignment.labeler_id))
    lease = {"state": State.LEASED, "leased_until": _from_now(assignment.project), "ended_at": None}
    Assignment.objects.filter(pk=assignment.pk).update(undone_at=now(), ahead=False, **lease)
    assignment.refresh_from_db()


def _from_now(project: Project) -> datetime:
    return now() + timedelta(minutes=project.lease_minutes)


def renew(assignment: Assignment) -> None:
    """The labeler is still at it: this lease runs from now, and so does that of the task that comes after it."""
    theirs = Assignment.objects.filter(labeler=assignment.labeler_id, project=assignment.project_id, state=State.LEASED)
    theirs.update(leased_until=_from_now(assignment.project))


def save_draft(assignment: Assignment, draft: dict) -> bool:
    """Keep what is typed so far and run the lease from now; also after the lease ran out. False once it was submitted."""
    this, fields = Assignment.objects.filter(pk=assignment.pk), {"draft": draft, "draft_at": now()}
    held = this.filter(state=State.LEASED).update(leased_until=_from_now(assignment.project), **fields)
    return bool(held or this.exclude(state=State.SUBMITTED).update(**fields))


@transaction.atomic
def skip(assignment: Assignment, reason: str) -> None:
    """Give the place to someone else and keep the reason; after enough skips nobody gets it. Twice is harmless."""
    over = Assignment.objects.filter(pk=assignment.pk, state__in=[State.EXPIRED, State.RETURNED])
    held = _give_up(assignment, State.SKIPPED, skip_reason=reason[:200])
    late = {"state": State.SKIPPED, "skip_reason": reason[:200], "ended_at": now()}
    if held or over.update(**late):  # the place of a late one was freed before
        audit.record(assignment.labeler, "skip", assignment, assignment.project, reason=reason[:200])
        set_aside.if_skipped_enough(assignment.task_id)


@transaction.atomic
def give_back(assignment: Assignment, actor: User | None = None) -> None:
    """Return the place without a judgment; the draft stays."""
    if _give_up(assignment, State.RETURNED):
        audit.record(actor, "give back", assignment, assignment.project)


def _give_up(assignment: Assignment, state: State, **fields) -> bool:
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
