"""Tasks that are reserved for one person or for a group: nobody else is given them."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from labeling.models import Assignment, Group, GroupMember, RankingTask, Seen
from labeling.models.tasks import RESERVED
from labeling.queue import order
from people import audit
from people.access import RANKERS, Refused
from people.models import Membership, Project, User


def offered_to(labeler: User, task: str = "") -> Q:
    """The condition of a task, or of what refers to it by the prefix `task`, that it is reserved
    for nobody, for this person or for one of their groups.
    """
    groups = GroupMember.objects.filter(user=labeler).values("group")
    for_nobody = {f"{task}reserved_for_user": None, f"{task}reserved_for_group": None}
    for_them = {f"{task}reserved_for_user": labeler}
    for_their_groups = {f"{task}reserved_for_group__in": groups}
    return Q(**for_nobody) | Q(**for_them) | Q(**for_their_groups)


def is_reserved_for_others(task: RankingTask, labeler: int) -> bool:
    if task.reserved_for_group_id:
        members = GroupMember.objects.filter(group=task.reserved_for_group_id)
        return not members.filter(user=labeler).exists()
    return task.reserved_for_user_id not in (None, labeler)


@transaction.atomic
def reserve(
    actor: User, task: RankingTask, member: Membership | None = None, group: Group | None = None
) -> None:
    """Offer the task only to this member, or only to this group; with neither, to everybody again.

    Who holds a place keeps it. Twice is harmless. Raises Refused for a member who does not rank,
    and for a group that is gone.
    """
    if member and member.role not in RANKERS:
        raise Refused(_("This person does not rank in this project."), "member")
    if group and not Group.objects.select_for_update(no_key=True).filter(pk=group.pk).exists():
        raise Refused(_("There is no such group."), "group")
    task = order.locked(task.pk)
    user = member.user_id if member else None
    reserved = {"reserved_for_user": user, "reserved_for_group": group and group.pk}
    if reserved == {name: getattr(task, f"{name}_id") for name in reserved}:
        return
    RankingTask.objects.filter(pk=task.pk).update(**reserved)
    if task.sort_key is not None:
        order.look_again(task.project_id, getattr(task, order.key(task.project)))
    audit.record(actor, "reserve", task, task.project, user=user, group=group and group.pk)


def waiting(project: Project) -> QuerySet[RankingTask]:
    """The reserved tasks that have a free place and are offered."""
    tasks = RankingTask.objects.filter(RESERVED, project=project, free_places__gt=0)
    return tasks.filter(sort_key__isnull=False)


def stuck(project: Project) -> QuerySet[RankingTask]:
    """The reserved tasks with a free place that nobody can be given: whoever they are reserved for
    is paused, has left the project or the group, does not judge such content, or has seen them.
    """
    return waiting(project).exclude(Exists(_takers(project)))


def _takers(project: Project) -> QuerySet[Membership]:
    """The members who could be given the task of the query around this one."""
    at_work = Membership.objects.filter(
        project=project, role__in=RANKERS, paused=False, user__state__in=User.LET_IN
    )
    in_the_group = GroupMember.objects.filter(
        group=OuterRef(OuterRef("reserved_for_group")), user=OuterRef("user")
    )
    been_at = Assignment.objects.filter(
        task=OuterRef(OuterRef("pk")), labeler=OuterRef("user"), state__in=Assignment.OVER
    )
    seen = Seen.objects.filter(task=OuterRef(OuterRef("pk")), person=OuterRef("user"))
    named = at_work.filter(Q(user=OuterRef("reserved_for_user")) | Exists(in_the_group))
    willing = Q(user__sensitive=True) | Q(user__sensitive=OuterRef("prompt__sensitive"))
    return named.filter(willing).exclude(Exists(been_at)).exclude(Exists(seen))
