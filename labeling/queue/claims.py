"""Which task a labeler is given next: choose it, and lease a place on it.

A place is taken by one conditional UPDATE of the task's `free_places`, in the same transaction that
writes the assignment, so that the overlap can not be exceeded however many ask at once. The order
of tasks is in `order`. Gold tasks, for which there is no overlap, come now and then in place of the
task that would be next.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from itertools import count
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.db import connection, transaction
from django.db.models import Count, Exists, F, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact
from django.db.models.sql import Query
from django.utils.translation import gettext as _

from labeling.models import (
    Assignment,
    Candidate,
    GroupMember,
    Prompt,
    QueuePosition,
    RankingTask,
    Seen,
)
from labeling.queue.eligibility import lock_if_working, refuse_beyond_daily_limit
from labeling.queue.leases import expire, lease_end
from labeling.queue.order import key, locked
from labeling.queue.reservations import is_reserved_for_others, offered_to
from people.db.clock import now
from people.db.compiled import compiled, insert, update
from people.models import Membership, Project, User

State, Purpose = Assignment.State, RankingTask.Purpose
P = ParamSpec("P")
Result = TypeVar("Result")


class LeaseLost(Exception):
    """The lease ran out and the place went to someone else; the draft is kept."""

    def __init__(self) -> None:
        super().__init__(
            _("Your reservation ended, and someone else took the place: take the next task.")
        )


def next_for(membership: Membership) -> Assignment | None:
    """The task that this labeler holds, else the next one in the order, leased; None when none is
    open to them.

    Raises NotWorking when the project, the membership or the account is paused, or the day's limit
    is reached.
    """
    project, labeler = membership.project, membership.user
    held = current(project, labeler)
    if held is None:
        return claim(membership)
    if held.ahead:
        _open(held)
    return held


def current(project: Project, labeler: User) -> Assignment | None:
    """The unexpired lease that this labeler works on; of several, the one whose submit was undone
    last.
    """
    return held_by(project.pk, labeler.pk, now()).first()


def held_by(project: int, labeler: int, at: datetime) -> QuerySet[Assignment]:
    """The unexpired leases of this labeler: the one at hand first, one leased ahead last."""
    held = Assignment.objects.filter(
        labeler=labeler, project=project, state=State.LEASED, leased_until__gte=at
    )
    return held.order_by("ahead", F("undone_at").desc(nulls_last=True), "pk")


@compiled
def _held_ids(project: int, labeler: int, at: datetime) -> QuerySet[Assignment, tuple[int]]:
    return held_by(project, labeler, at).values_list("pk")


def claim(membership: Membership) -> Assignment | None:
    """Lease the next open task to this labeler, in one short transaction. Where none is found, what
    others are just leaving is waited for, and then expired leases are freed.
    """
    assignment = _claim_once(membership)
    if assignment is None and _others_have_decided(membership):
        assignment = _claim_once(membership)
    if assignment is None and expire(membership.project):
        assignment = _claim_once(membership)
    return assignment


def from_a_position(
    verb: Callable[Concatenate[Membership, P], Result],
) -> Callable[Concatenate[Membership, P], Result]:
    """Decorator: a labeler's first claim. Their position is there for all to see before it looks
    for a task: who frees a place meanwhile must find it, to send it back.
    """

    @wraps(verb)
    def placed(membership: Membership, /, *args: P.args, **kwargs: P.kwargs) -> Result:
        try:
            return verb(membership, *args, **kwargs)
        except QueuePosition.DoesNotExist:
            QueuePosition.objects.get_or_create(project=membership.project, labeler=membership.user)
            return verb(membership, *args, **kwargs)

    return placed


@from_a_position
@transaction.atomic
def _claim_once(membership: Membership) -> Assignment | None:
    lock_if_working(membership)
    again = _held_ids(
        membership.project_id, membership.user_id, now()
    )  # two tabs that ask at once get the one lease
    return Assignment.objects.get(pk=again[0][0]) if again else _lease_next(membership)


@from_a_position
@transaction.atomic
def lease_ahead(membership: Membership, at_hand: int) -> Assignment | None:
    """The place after the one at hand, leased already so that nobody waits for it; None when
    nothing else is open.

    Raises NotWorking like `next_for`.
    """
    lock_if_working(membership)
    held = [pk for (pk,) in _held_ids(membership.project_id, membership.user_id, now())]
    if at_hand not in held:
        return None
    others = [pk for pk in held if pk != at_hand]
    return Assignment.objects.get(pk=others[0]) if others else _lease_next(membership, ahead=True)


def open_ahead(membership: Membership, pk: str) -> bool:
    """The labeler looks at the place that was leased ahead; False if it is not theirs any more."""
    if not pk.isascii() or not pk.isdigit():
        return False
    return _open(Assignment(pk=int(pk), labeler=membership.user, project=membership.project))


def _open(assignment: Assignment) -> bool:
    return bool(_look_at(assignment.pk, assignment.labeler_id, assignment.project_id, now()))


@compiled
def _look_at(assignment: int, labeler: int, project: int, at: datetime) -> Query:
    return update(held_by(project, labeler, at).order_by().filter(pk=assignment), ahead=False)


def _lease_next(membership: Membership, ahead: bool = False) -> Assignment | None:
    project, labeler = membership.project, membership.user
    refuse_beyond_daily_limit(project, labeler, at_hand=int(ahead))
    position, looked = _position(project.pk, labeler.pk)
    find = _find[key(project), labeler.sensitive]
    rows = find(labeler.pk, project.pk, looked) or find(labeler.pk, project.pk, QueuePosition.FRONT)
    if not rows:
        return None
    gold = _gold_instead(membership)
    if gold and (assignment := _lease(gold, project, labeler, ahead)):
        return assignment
    [(task, place, first)] = rows
    assignment = _lease(task, project, labeler, ahead)
    if assignment is not None:
        _move(
            position, place if place == first else first - 1
        )  # what was passed over may stay open
    return assignment


def _position(project: int, labeler: int) -> tuple[int, int]:
    """The labeler's position, locked: what reopens meanwhile sends them back afterwards, however
    this claim ends.
    """
    rows = _locked_position(project, labeler)
    if not rows:
        raise QueuePosition.DoesNotExist
    return rows[0]


@compiled
def _locked_position(project: int, labeler: int) -> QuerySet[QueuePosition, tuple[int, int]]:
    positions = QueuePosition.objects.select_for_update()
    return positions.filter(project=project, labeler=labeler).values_list("pk", "sort_key")


@compiled
def _move(position: int, place: int) -> Query:
    return update(QueuePosition.objects.filter(pk=position), sort_key=place)


def _gold_instead(membership: Membership) -> int | None:
    """A gold task for this labeler in place of the next one, as often as the project says; none for
    admins: they know the keys. Only in place of one: where nothing else is open, what came by
    looking again would be known for gold.
    """
    project = membership.project
    if (
        not project.rules.gold_share
        or membership.role == Membership.Role.ADMIN
        or not drawn(project.rules.gold_share)
    ):
        return None
    gold = _gold_for(membership.user, project).select_for_update(skip_locked=True, no_key=True)
    return gold.values_list("pk", flat=True).first()


def drawn(percent: int) -> bool:
    """Drawn anew for each lease: no pattern to be learnt, no count that could drift."""
    return random.SystemRandom().randrange(100) < percent


def _gold_for(labeler: User, project: Project) -> QuerySet[RankingTask]:
    """The gold tasks that are offered to this labeler and that they have not seen, the oldest
    first.
    """
    tasks = RankingTask.objects.filter(_unseen(labeler), project=project, purpose=Purpose.GOLD)
    tasks = tasks if labeler.sensitive else tasks.filter(_harmless())
    return tasks.filter(offered_to(labeler), state=RankingTask.State.OPEN).order_by("pk")


def _unseen(labeler: User | int) -> Q:
    """Tasks that the labeler has not been at, and of which they know nothing that others say."""
    been_at = Assignment.objects.filter(
        task=OuterRef("pk"), labeler=labeler, state__in=Assignment.OVER
    )
    return ~Exists(been_at) & ~Exists(Seen.objects.filter(task=OuterRef("pk"), person=labeler))


def _harmless() -> Exact[Any]:
    """Asked of one prompt after the other, by its key: PostgreSQL makes a join of NOT EXISTS, and
    reads all prompts.
    """
    return Exact(Subquery(Prompt.objects.filter(pk=OuterRef("prompt")).values("sensitive")), False)


def _open_to(
    labeler: User | int, project: Project | int, beyond: int, order: str, willing: bool
) -> QuerySet[RankingTask]:
    """The tasks with a free place that this labeler has not seen, beyond a place in the order,
    whoever they are reserved for: `_firsts` chooses among them.

    Sensitive ones are for who is `willing`.
    """
    tasks = RankingTask.objects.filter(_unseen(labeler), project=project, free_places__gt=0)
    tasks = tasks if willing else tasks.filter(_harmless())
    return tasks.filter(**{f"{order}__gt": beyond}).order_by(order)


def _firsts(tasks: QuerySet[RankingTask], labeler: User | int, order: str) -> list[Subquery]:
    """Of these tasks in their order the first that is reserved for nobody, the first that is
    reserved for this labeler, and the first that is reserved for one of their groups.

    Each is looked up in an index of its own. One condition for all of them would need to read what
    is reserved for others; so would one for several groups.
    """
    for_anybody = tasks.filter(reserved_for_user=None, reserved_for_group=None)
    for_them = tasks.filter(reserved_for_user=labeler)
    for_a_group = tasks.filter(reserved_for_group=OuterRef("group"))
    of_each_group = GroupMember.objects.filter(user=labeler).values(
        first=Subquery(for_a_group.values("pk")[:1])
    )
    for_their_groups = RankingTask.objects.filter(pk__in=of_each_group).order_by(order)
    return [
        Subquery(offered.values("pk")[:1]) for offered in (for_anybody, for_them, for_their_groups)
    ]


def _in_order(
    tasks: QuerySet[RankingTask], labeler: User | int, order: str
) -> QuerySet[RankingTask]:
    firsts: list[Any] = list(_firsts(tasks, labeler, order))
    return RankingTask.objects.filter(pk__in=firsts).order_by(order)


def _first(order: str, willing: bool) -> compiled[[int, int, int], list[tuple[int, int, int]]]:
    """The query for the first of them that nobody else has locked, as (task, place in the order,
    place of the first).
    """

    def first(
        labeler: int, project: int, beyond: int
    ) -> QuerySet[RankingTask, tuple[int, int, int]]:
        tasks = _open_to(labeler, project, beyond, order, willing)
        locks = connection.features.has_select_for_update_skip_locked
        first_of_all = _in_order(tasks, labeler, order)
        place_of_first = Subquery(first_of_all.values(order)[:1]) if locks else F(order)
        unlocked = _in_order(tasks.select_for_update(skip_locked=True), labeler, order)
        chosen = unlocked.select_for_update(skip_locked=True)
        return chosen.values_list("pk", order, place_of_first)[:1]

    return compiled(first)


_find = {
    (order, willing): _first(order, willing)
    for order in ("turn", "sort_key")
    for willing in (False, True)
}


@transaction.atomic
def _others_have_decided(membership: Membership) -> bool:
    """A claim passes over what another one has locked. When nothing else is left, wait for what
    that one leaves.
    """
    if not connection.features.has_select_for_update_skip_locked:
        return False  # writers queue for the database: nothing was passed over
    project, labeler = membership.project, membership.user
    order = key(project)
    tasks = _open_to(labeler, project, QueuePosition.FRONT, order, labeler.sensitive)
    # one after the other: who waited for one while it holds another could wait for ever
    first = Coalesce(*_firsts(tasks.select_for_update(), labeler, order))
    return RankingTask.objects.filter(pk=first).exists()


def _lease(task: int, project: Project, labeler: User, ahead: bool = False) -> Assignment | None:
    """A place on the locked task. A lease that expired or was given back left a row: it is used
    again, with its draft.
    """
    rows = _places(task)
    earlier = next(
        ((pk, state) for pk, theirs, state, _place in rows if theirs == labeler.pk), None
    )
    if earlier and earlier[1] in Assignment.OVER:
        return None  # submitted or skipped late, while this waited for the task
    place = _take_place(task, rows)
    if place is None:
        return None
    lease = {
        "state": State.LEASED,
        "place": place,
        "leased_until": lease_end(project),
        "ahead": ahead,
    }
    if earlier is None:
        return _new(task, project, labeler, lease)
    Assignment.objects.filter(pk=earlier[0]).update(ended_at=None, undone_at=None, **lease)
    return Assignment.objects.get(pk=earlier[0])


def _new(task: int, project: Project, labeler: User, lease: dict[str, Any]) -> Assignment:
    """A first lease: the answers come in an order of this labeler's own."""
    answers = _answers(task)
    order = random.SystemRandom().sample([pk for pk, *_rest in answers], len(answers))
    assignment = Assignment(task_id=task, labeler=labeler, project=project, order=order, **lease)
    insert(assignment)
    assignment.texts = {}
    for pk, text, messages in answers:  # read already
        assignment.texts[pk], assignment.messages = text, messages
    return assignment


@compiled
def _answers(task: int) -> QuerySet[Candidate, tuple[int, str, list[dict[str, Any]]]]:
    """With the prompt beside each: it is short, and a query of its own takes longer."""
    return (
        Candidate.objects.filter(tasks=task)
        .order_by("pk")
        .values_list("pk", "text", "prompt__messages")
    )


@compiled
def _places(task: int) -> QuerySet[Assignment, tuple[int, int, str, int | None]]:
    return Assignment.objects.filter(task=task).values_list("pk", "labeler", "state", "place")


@compiled
def _take_one(task: int) -> Query:
    return update(
        RankingTask.objects.filter(pk=task, free_places__gt=0), free_places=F("free_places") - 1
    )


def _take_place(task: int, rows: list[tuple[int, int, str, int | None]]) -> int | None:
    """The smallest place that nobody holds, taken off the task's free ones; None when there is none
    left.

    On a gold task there is one for everybody.
    """
    if not _take_one(task) and not _is_gold(task):
        return None
    taken = {place for _pk, _labeler, state, place in rows if state in Assignment.HOLDING}
    return next(place for place in count() if place not in taken)


def _is_gold(task: int) -> bool:
    return RankingTask.objects.filter(pk=task, purpose=Purpose.GOLD).exists()


def reclaim(assignment: Assignment) -> None:
    """Hold the place of an expired lease once more, to submit after all. Raises LeaseLost when it
    went to others.
    """
    task = locked(assignment.task_id)
    if is_reserved_for_others(task, assignment.labeler_id):
        raise LeaseLost
    place = _take_place(task.pk, _places(task.pk))
    if place is None:
        raise LeaseLost
    assignment.state, assignment.place = State.LEASED, place
    assignment.leased_until = now() + timedelta(minutes=1)
    assignment.save(update_fields=["state", "place", "leased_until"])


def what_else(membership: Membership) -> dict[str, Any]:
    """How many tasks others hold just now, when the first of them may come back, and whether
    sensitive ones are open to this labeler but for their not being willing. A gold one brings
    nothing back, nor does one that is reserved for others.
    """
    return held_by_others(membership) | {
        "sensitive": not membership.user.sensitive and _sensitive_are_open(membership)
    }


def _sensitive_are_open(membership: Membership) -> bool:
    project, labeler = membership.project, membership.user
    order = key(project)
    tasks = _open_to(labeler, project, QueuePosition.FRONT, order, willing=True)
    return _in_order(tasks.filter(prompt__sensitive=True), labeler, order).exists()


def held_by_others(membership: Membership) -> dict[str, Any]:
    """How many tasks others hold just now, and when the first of them may come back. A gold one
    brings nothing back, nor does one that is reserved for others.
    """
    held = Assignment.objects.filter(
        offered_to(membership.user, "task__"), project=membership.project, state=State.LEASED
    ).exclude(task__purpose=Purpose.GOLD)
    return held.exclude(labeler=membership.user).aggregate(
        others=Count("pk"), free_at=Min("leased_until")
    )
