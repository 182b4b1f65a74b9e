"""Groups of people for whom tasks can be reserved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from labeling.models import Group
from labeling.queue import groups
from people.access import ADMINS, Refused
from people.api.base import ActionMixin, Answer, Editing, Endpoint, Listing
from people.api.filters import MOST_ID
from people.models import Membership, Project

MOST_MEMBERS = 10_000


class GroupBody(serializers.Serializer):
    """People of the project who are given the tasks that are reserved for them as a group."""

    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField(max_length=80)
    members = serializers.ListField(
        source="member_ids",
        child=serializers.IntegerField(min_value=1, max_value=MOST_ID),
        max_length=MOST_MEMBERS,
        required=False,
        help_text=(
            "Ids of members of the project. Who has left the project is not among them, and is in "
            "the group again once added to the project again."
        ),
    )
    tasks = serializers.IntegerField(
        source="waiting",
        read_only=True,
        help_text="Reserved for it, offered, and with a free place.",
    )
    created_at = serializers.DateTimeField(read_only=True)


class OfGroups:
    """What both endpoints of groups share."""

    project: Project
    roles = {"GET": ADMINS}
    group = "members"

    def get_queryset(self) -> QuerySet[Group]:
        free = Q(tasks__free_places__gt=0, tasks__sort_key__isnull=False)
        rows = Group.objects.filter(project=self.project).select_related("project")
        return rows.annotate(waiting=Count("tasks", filter=free))

    def memberships(self, pks: Iterable[int]) -> list[Membership]:
        """These members. Raises Refused where one is not in this project."""
        members = list(Membership.objects.filter(project=self.project, pk__in=pks))
        if strangers := sorted(set(pks) - {member.pk for member in members}):
            message = _("These are no members of this project: %(ids)s.")
            raise Refused(message % {"ids": ", ".join(map(str, strangers))}, "members")
        return members

    def represent_all(self, rows: list[Group]) -> list[dict[str, Any]]:
        pairs = Membership.objects.filter(
            project=self.project, user__in_groups__group__in=rows
        ).order_by("pk")
        members = defaultdict(list)
        for group, member in pairs.values_list("user__in_groups__group", "pk"):
            members[group].append(member)
        for row in rows:
            row.member_ids = members[row.pk]
        return GroupBody(rows, many=True).data


class Groups(OfGroups, Listing, ActionMixin, Endpoint):
    """The project's groups of people."""

    input, output, status = GroupBody, GroupBody, 201

    def get_serializer_class(self) -> type[BaseSerializer]:
        return GroupBody

    def represent(self, rows: list) -> list[Any]:
        return self.represent_all(rows)

    def act(self, data: dict[str, Any]) -> Answer:
        members = self.memberships(data.get("member_ids", []))
        made = groups.create(self.actor, self.project, data["name"], members)
        [body] = self.represent_all(list(self.get_queryset().filter(pk=made.pk)))
        return Answer(body, location=f"/api/v1/projects/{self.project.slug}/groups/{made.pk}")


class OneGroup(OfGroups, Editing, Endpoint):
    """A group: its name and its members."""

    serializer_class = GroupBody
    refuses = {"DELETE": (409,)}

    def represent(self, row: Group) -> Any:
        [body] = self.represent_all([row])
        return body

    def edit(self, row: Group, changes: dict[str, Any]) -> None:
        ids = changes.get("member_ids")
        members = None if ids is None else self.memberships(ids)
        groups.change(self.actor, row, changes.get("name"), members)

    def delete(self, request: Request, *args, **kwargs) -> Response:
        """Delete the group. Refused (409) while tasks are reserved for it."""
        groups.delete(self.actor, self.get_object())
        return Response(status=204)
