"""Who may be given tasks now, asked under a lock: the first of those that a claim takes."""

from __future__ import annotations

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from labeling.models import Assignment
from people.db.compiled import compiled
from people.models import Membership, Project, User

GONE = gettext_noop("You are not in this project any more.")


class NotWorking(Exception):
    """This person is given no tasks here now; the text says why."""


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
    limit = project.rules.daily_limit
    if limit is None:
        return
    begun, ends = project.day()
    done = Assignment.objects.filter(
        labeler=labeler, project=project, state=Assignment.State.SUBMITTED, ended_at__gte=begun
    )
    if done.count() + at_hand >= limit:
        values = {"limit": limit, "when": date_format(localtime(ends), "j M, H:i")}
        raise NotWorking(
            _(
                "You have reached this project's limit of %(limit)d a day. The next task comes on "
                "%(when)s."
            )
            % values
        )


def lock_if_working(membership: Membership) -> None:
    """Raises NotWorking: they may have been paused, or have left, while this waited for the lock.

    Locks come always in this order: the membership, the labeler's position, the task, a place on
    it, all positions. Who holds their position never waits for a task, because who holds a task may
    wait for that.
    """
    member = _lock_member(membership.pk)
    if not member:
        raise NotWorking(_(GONE))
    [(membership.paused, membership.user.state, membership.project.state)] = member
    refuse_unless_working(membership)


@compiled
def _lock_member(membership: int) -> QuerySet[Membership, tuple[bool, str, str]]:
    account = User.objects.filter(pk=OuterRef("user")).values("state")
    project = Project.objects.filter(pk=OuterRef("project")).values("state")
    members = Membership.objects.select_for_update().filter(pk=membership)
    return members.values_list("paused", Subquery(account), Subquery(project))


def locked_membership(assignment: Assignment) -> Membership:
    members = Membership.objects.select_for_update(of=("self",)).select_related("user")
    membership = members.filter(project=assignment.project_id, user=assignment.labeler_id).first()
    if membership is None:
        raise NotWorking(_(GONE))
    return membership
