"""Projects and their settings."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q, QuerySet
from rest_framework import serializers
from rest_framework.fields import Field
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer
from rest_framework.utils import model_meta
from rest_framework.utils.model_meta import FieldInfo

from labeling import project_settings
from labeling.models import ProjectRules
from labeling.models.criteria import LONGEST_SPAN_LABEL
from labeling.project_forms import LONGEST_FLAG, MOST_FLAGS, MOST_SPAN_LABELS
from labeling.text.conversations import clean
from people.access import READERS, Role
from people.api.base import ActionMixin, Answer, EditEndpoint, Listing, SiteEndpoint
from people.models import Membership, Project, known_zone

RULES = "rules."
SOURCES = {name: {"source": RULES + name} for name in project_settings.SETTINGS}
SETTINGS = ["name", "guidelines", *project_settings.SETTINGS, "zone", "state"]


class WithRules(serializers.ModelSerializer):
    # A project, with the fields of its rules beside its own. A docstring would be the description
    # of the serializers below in the API's schema.

    def build_field(
        self, field_name: str, info: FieldInfo, model_class: type[models.Model], nested_depth: int
    ) -> tuple[type[Field], dict[str, Any]]:
        if field_name.startswith(RULES):
            model_class = ProjectRules
            info = model_meta.get_field_info(model_class)
        return super().build_field(field_name.removeprefix(RULES), info, model_class, nested_depth)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        values = super().to_internal_value(data)
        values |= values.pop("rules", {})
        return {name: values[name] for name in self.fields if name in values}


class ProjectBody(WithRules):
    """A project and its settings. `gold_share` is for who ranks nothing, or runs the project."""

    zone = serializers.CharField(max_length=50, validators=[known_zone], required=False)
    flags = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_FLAG),
        max_length=MOST_FLAGS,
        required=False,
        source="rules.flags",
        help_text=(
            "Flags that labelers can set on an answer: keys of the standard list, or any text."
        ),
    )

    span_labels = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_SPAN_LABEL),
        max_length=MOST_SPAN_LABELS,
        required=False,
        source="rules.span_labels",
        help_text="Labels that labelers can give to a passage of an answer; none: none is marked.",
    )

    class Meta:
        model = Project
        fields = ["slug", *SETTINGS, "created_at"]
        read_only_fields = ["slug", "created_at"]
        extra_kwargs = SOURCES

    def validate_span_labels(self, labels: list[str]) -> list[str]:
        return list(dict.fromkeys(label for given in labels if (label := clean(given))))

    def to_representation(self, project: Project) -> dict[str, Any]:
        """Whoever asks has `project.role`. Labelers and leads must not know how much is gold."""
        body = super().to_representation(project)
        if project.role not in READERS:
            del body["gold_share"]
        return body


class MyProject(ProjectBody):
    """A project, with your role in it."""

    role = serializers.ChoiceField(Role.choices, read_only=True)

    class Meta(ProjectBody.Meta):
        fields = [*ProjectBody.Meta.fields, "role"]


class NewProject(WithRules):
    slug = serializers.SlugField(max_length=50)  # the action checks that it is unique

    class Meta:
        model = Project
        fields = ["name", "slug", "k", "overlap"]
        extra_kwargs = SOURCES


class Projects(Listing, ActionMixin, SiteEndpoint):
    """The projects that you are a member of. Administrators of the site create new ones."""

    serializer_class = MyProject
    input, output, status = NewProject, ProjectBody, 201

    def get_serializer_class(self) -> type[BaseSerializer]:
        return MyProject

    def get_queryset(self) -> QuerySet[Membership]:
        drafts = Q(project__state=Project.State.DRAFT) & ~Q(role=Role.ADMIN)
        return (
            Membership.objects.filter(user=self.request.user)
            .exclude(drafts)
            .select_related("project__rules")
        )

    def represent(self, memberships: list[Membership]) -> list[Any]:
        for membership in memberships:
            membership.project.role = membership.role
        projects_with_role = [membership.project for membership in memberships]
        return MyProject(projects_with_role, many=True).data

    def initial(self, request: Request, *args, **kwargs) -> None:
        self.staff = request.method == "POST"
        super().initial(request, *args, **kwargs)

    def act(self, data: dict[str, Any]) -> Answer:
        project = project_settings.create(self.actor, **data)
        project.role = Role.ADMIN
        return Answer(project, location=f"/api/v1/projects/{project.slug}")


class OneProject(EditEndpoint):
    """A project and its settings, which its admins can change. An archived project can be
    reopened.
    """

    serializer_class = ProjectBody
    archived = True

    def get_object(self) -> Project:
        project = Project.objects.select_related("rules").get(pk=self.project.pk)
        project.role = self.membership.role
        return project

    def edit(self, project: Project, changes: dict[str, Any]) -> None:
        project_settings.change(self.actor, project, **changes)
