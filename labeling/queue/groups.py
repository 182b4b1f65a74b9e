"""Groups of people for whom tasks can be reserved: create, change and delete them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labeling.models import Group, GroupMember
from labeling.queue.order import look_from_front
from people import audit
from people.access import Refused
from people.models import Membership, Project, User


@transaction.atomic
def create(actor: User, project: Project, name: str, members: Iterable[Membership] = ()) -> Group:
    """Create a group. Raises Refused where the project has one of this name."""
    _take_turns(project)
    _refuse_taken(Group(project=project, name=name))
    group = Group.objects.create(project=project, name=name)
    added, _removed = _set_members(group, members)
    audit.record(actor, "create group", group, project, name=name, added=added)
    return group


@transaction.atomic
def change(
    actor: User,
    group: Group,
    name: str | None = None,
    members: Iterable[Membership] | None = None,
) -> None:
    """Rename the group, or say anew which members of the project are in it.

    Who leaves the group keeps what they hold. Raises Refused where the name is taken, or where the
    group is gone.
    """
    if not Group.objects.select_for_update().filter(pk=group.pk).exists():
        raise Refused(_("There is no such group."))
    changes: dict[str, Any] = {}
    if name not in (None, group.name):
        _take_turns(group.project)
        group.name = changes["name"] = name
        _refuse_taken(group)
        group.save(update_fields=["name"])
    if members is not None:
        added, removed = _set_members(group, members)
        changes |= {"added": added, "removed": removed} if added or removed else {}
    if changes:
        audit.record(actor, "change group", group, group.project, **changes)


@transaction.atomic
def delete(actor: User, group: Group) -> None:
    """Delete the group. Raises Refused while tasks are reserved for it: nobody would get them."""
    Group.objects.select_for_update().filter(pk=group.pk).first()
    if count := group.tasks.count():
        raise Refused(
            ngettext(
                "One task is reserved for this group. Reserve it for others first.",
                "%(count)d tasks are reserved for this group. Reserve them for others first.",
                count,
            )
            % {"count": count}
        )
    audit.record(actor, "delete group", group, group.project, name=group.name)
    group.delete()


def members_of(group: Group) -> QuerySet[Membership]:
    return Membership.objects.filter(project=group.project_id, user__in_groups__group=group)


def _take_turns(project: Project) -> None:
    """Of two who give the same name at once, the second finds it taken."""
    # no_key: rows that refer to the project can still be inserted
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)


def _refuse_taken(group: Group) -> None:
    others = Group.objects.filter(project=group.project, name=group.name).exclude(pk=group.pk)
    if others.exists():
        raise Refused(_("The project has a group of this name."), "name")


def _set_members(group: Group, members: Iterable[Membership]) -> tuple[list[int], list[int]]:
    """Make the group's members in the project these; returns the accounts added and removed.

    People who have left the project are no longer among its members: they stay in the group, in
    case they come back.
    """
    wanted = {member.user_id for member in members}
    current = set(members_of(group).values_list("user", flat=True))
    added, removed = sorted(wanted - current), sorted(current - wanted)
    group.members.filter(user__in=removed).delete()
    GroupMember.objects.bulk_create(GroupMember(group=group, user_id=user) for user in added)
    if added:
        look_from_front(group.project_id, added)
    return added, removed
