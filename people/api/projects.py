"""The members of projects, and the audit log."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from people import projects
from people.access import ADMINS, ANYONE, Role
from people.api.base import (
    Action,
    ActionMixin,
    Answer,
    Editing,
    Endpoint,
    ListEndpoint,
    Listing,
)
from people.api.filters import IdFilter
from people.models import AuditEvent, Membership


class MemberBody(serializers.ModelSerializer):
    """A member of a project."""

    name = serializers.CharField(source="user.name", read_only=True)
    email = serializers.EmailField(source="user.email", read_only=True)
    state = serializers.CharField(
        source="user.state", read_only=True, help_text="The state of the account."
    )

    class Meta:
        model = Membership
        fields = ["id", "name", "email", "state", "role", "paused"]


class NewMember(serializers.Serializer):
    """A person with an account. Anybody else needs an invitation."""

    email = serializers.EmailField(max_length=254)
    role = serializers.ChoiceField(Role.choices, default=Role.LABELER)


class Members(Listing, ActionMixin, Endpoint):
    """The members of the project."""

    serializer_class = MemberBody
    filterset_fields = ["role", "paused"]
    roles = {"GET": ADMINS}
    input, output, status = NewMember, MemberBody, 201

    def get_serializer_class(self) -> type[BaseSerializer]:
        return MemberBody

    def get_queryset(self) -> QuerySet[Membership]:
        return Membership.objects.filter(project=self.project).select_related("user")

    def act(self, data: dict[str, Any]) -> Answer:
        member = projects.add_member(self.actor, self.project, **data)
        return Answer(member, location=f"/api/v1/projects/{self.project.slug}/members/{member.pk}")


class OneMember(Editing, Endpoint):
    """A member's role and whether they are paused."""

    serializer_class = MemberBody
    roles = {"GET": ADMINS}

    def get_queryset(self) -> QuerySet[Membership]:
        return Membership.objects.filter(project=self.project).select_related("user", "project")

    def edit(self, membership: Membership, changes: dict[str, Any]) -> None:
        if "role" in changes:
            projects.change_role(self.actor, membership, changes["role"])
        if "paused" in changes:
            action = projects.pause if changes["paused"] else projects.unpause
            action(self.actor, membership)

    def delete(self, request: Request, *args, **kwargs) -> Response:
        """Remove the member: leases are returned, and all finished work stays."""
        projects.remove_member(self.actor, self.get_object())
        return Response(status=204)


class Leave(Action):
    """Leave the project."""

    roles = {"POST": ANYONE}
    archived = True

    def act(self, data: dict[str, Any]) -> None:
        projects.remove_member(self.actor, self.membership)


class EventBody(serializers.ModelSerializer):
    """An audit event: who did what to which object, and when."""

    actor = serializers.EmailField(source="actor.email", allow_null=True, default=None)
    data = serializers.DictField()

    class Meta:
        model = AuditEvent
        fields = ["id", "at", "actor", "verb", "thing", "data"]


class EventFilter(filters.FilterSet):
    verb = filters.CharFilter(max_length=40)
    actor = IdFilter(help_text="The id of an account.")
    since = filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt")


class Audit(ListEndpoint):
    """The audit log of the project, newest first."""

    serializer_class = EventBody
    filterset_class = EventFilter
    roles = {"GET": ADMINS}

    def get_queryset(self) -> QuerySet[AuditEvent]:
        return AuditEvent.objects.filter(project=self.project).select_related("actor")
