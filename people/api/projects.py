"""Projects, their members, and the audit log."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django.db.models import Q, QuerySet
from rest_framework import serializers
from rest_framework.response import Response

from people import projects
from people.access import ADMINS, ANYONE, Role
from people.api.base import (
    Act,
    Answer,
    EditEndpoint,
    Editing,
    Endpoint,
    ListEndpoint,
    Listing,
    SiteEndpoint,
    Verb,
)
from people.api.filters import IdFilter
from people.forms import LONGEST_FLAG, MOST_FLAGS
from people.models import AuditEvent, Membership, Project, known_zone

SETTINGS = [
    "name",
    "guidelines",
    "k",
    "overlap",
    "completion",
    "skips_to_set_aside",
    "ties",
    "rating",
    "flags",
]
SETTINGS += ["notes", "strength", "lease_minutes", "daily_limit", "gold_share", "zone", "state"]


class ProjectBody(serializers.ModelSerializer):
    """A project and its settings."""

    zone = serializers.CharField(max_length=50, validators=[known_zone], required=False)
    flags = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_FLAG),
        max_length=MOST_FLAGS,
        required=False,
        help_text=(
            "Flags that labelers can set on an answer: keys of the standard list, or any text."
        ),
    )

    class Meta:
        model = Project
        fields = ["slug", *SETTINGS, "created_at"]
        read_only_fields = ["slug", "created_at"]


class MyProject(ProjectBody):
    """A project, with your role in it."""

    role = serializers.ChoiceField(Role.choices, read_only=True)

    class Meta(ProjectBody.Meta):
        fields = [*ProjectBody.Meta.fields, "role"]


class NewProject(serializers.ModelSerializer):
    slug = serializers.SlugField(max_length=50)  # the action checks that it is unique

    class Meta:
        model = Project
        fields = ["name", "slug", "k", "overlap"]


class Projects(Listing, Act, SiteEndpoint):
    """The projects that you are a member of. Administrators of the site create new ones."""

    serializer_class = MyProject
    input, output, status = NewProject, ProjectBody, 201

    def get_serializer_class(self):
        return MyProject

    def get_queryset(self) -> QuerySet[Membership]:
        drafts = Q(project__state=Project.State.DRAFT) & ~Q(role=Role.ADMIN)
        return (
            Membership.objects.filter(user=self.request.user)
            .exclude(drafts)
            .select_related("project")
        )

    def represent(self, memberships: list[Membership]) -> list[Any]:
        for membership in memberships:
            membership.project.role = membership.role
        projects_with_role = [membership.project for membership in memberships]
        return MyProject(projects_with_role, many=True).data

    def initial(self, request, *args, **kwargs) -> None:
        self.staff = request.method == "POST"
        super().initial(request, *args, **kwargs)

    def act(self, data: dict[str, Any]) -> Answer:
        project = projects.create(self.actor, **data)
        return Answer(project, location=f"/api/v1/projects/{project.slug}")


class OneProject(EditEndpoint):
    """A project and its settings, which its admins can change. An archived project can be
    reopened.
    """

    serializer_class = ProjectBody
    archived = True

    def get_object(self) -> Project:
        return Project.objects.get(pk=self.project.pk)

    def edit(self, project: Project, changes: dict[str, Any]) -> None:
        projects.change(self.actor, project, **changes)


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


class Members(Listing, Act, Endpoint):
    """The members of the project."""

    serializer_class = MemberBody
    filterset_fields = ["role", "paused"]
    roles = {"GET": ADMINS}
    input, output, status = NewMember, MemberBody, 201

    def get_serializer_class(self):
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

    def delete(self, request, *args, **kwargs) -> Response:
        """Remove the member: leases are returned, and all finished work stays."""
        projects.remove_member(self.actor, self.get_object())
        return Response(status=204)


class Leave(Verb):
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
