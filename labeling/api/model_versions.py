"""Model versions with the judgments behind them; promote and register them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import django_filters as filters
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework import serializers

from labeling.loop.lineage import rankings_in, shown, with_figures
from labeling.models import Candidate
from modelops import registry
from modelops.api.jobs import MetricBody
from modelops.api.shared import filled
from modelops.forms.models import RegisterForm, ServedForm
from modelops.models import Alias, ModelVersion
from people.access import ADMINS
from people.api.base import Action, ActionResult, Answer, DetailEndpoint, ListEndpoint
from people.api.filters import IdFilter


class ModelBody(serializers.ModelSerializer):
    """A policy or a reward model, and its origin."""

    shared = serializers.SerializerMethodField(
        help_text="A base that every project of this site has."
    )
    aliases = serializers.SerializerMethodField(
        help_text="Names of this project that point at it: champion."
    )
    reward_model = serializers.IntegerField(
        source="job.reward_model_id", allow_null=True, default=None
    )
    address = serializers.CharField(
        read_only=True, help_text="Of the server that answers for it, if one does."
    )
    external = serializers.BooleanField(
        read_only=True, help_text="Its weights are not on this machine."
    )

    class Meta:
        model = ModelVersion
        fields = [
            "id",
            "kind",
            "name",
            "shared",
            "aliases",
            "parent",
            "dataset",
            "reward_model",
            "job",
        ]
        fields += ["sha256", "address", "served_as", "external", "created_at"]
        read_only_fields = fields

    def get_shared(self, version: ModelVersion) -> bool:
        return version.project_id is None

    def get_aliases(self, version: ModelVersion) -> list[str]:
        return [alias.name for alias in version.aliases.all()]


class ModelDetail(ModelBody):
    """A version with its ancestors and descendants, the metrics of its job, and the judgments
    behind it.
    """

    lineage = serializers.ListField(
        child=serializers.IntegerField(), help_text="Itself, its parent, and so on."
    )
    offspring = serializers.ListField(
        child=serializers.IntegerField(), help_text="What was made of it."
    )
    rankings = serializers.IntegerField(
        help_text="From which it learned, itself or by what it learned from."
    )
    answers = serializers.IntegerField(help_text="That it wrote in this project.")
    metrics = MetricBody(many=True)

    class Meta(ModelBody.Meta):
        fields = [*ModelBody.Meta.fields, "lineage", "offspring", "rankings", "answers", "metrics"]
        read_only_fields = fields

    def to_representation(self, version: ModelVersion) -> dict:
        project = self.context["view"].project
        line = registry.lineage(version)
        behind = with_figures([*line, *registry.judges(line)])
        version.offspring = list(shown(project).filter(parent=version).values_list("pk", flat=True))
        version.lineage = [ancestor.pk for ancestor in line]
        version.rankings = rankings_in(behind)
        version.answers = Candidate.objects.filter(
            model_version=version, prompt__project=project
        ).count()
        version.metrics = registry.final_metrics(version.job)
        return super().to_representation(version)


class AliasBody(serializers.ModelSerializer):
    """A name that points at a version of the project."""

    class Meta:
        model = Alias
        fields = ["name", "model_version", "moved_at"]
        read_only_fields = fields


class RegisterInput(serializers.Serializer):
    """A model that lies on the server's machine, below an allowed root."""

    name, folder = serializers.CharField(max_length=100), serializers.CharField(max_length=500)


class ServeInput(serializers.Serializer):
    """A model that a server of OpenAI's protocol answers for."""

    name = serializers.CharField(max_length=100)
    address = serializers.URLField(max_length=500, help_text="Up to /v1: https://models.example/v1")
    served_as = serializers.CharField(
        max_length=200, help_text="Its name, or its LoRA adapter's, at that server."
    )


class ModelFilter(filters.FilterSet):
    """What versions may be chosen by."""

    kind = filters.ChoiceFilter(choices=ModelVersion.Kind.choices)
    name = filters.CharFilter()
    dataset, parent, job = IdFilter(), IdFilter(), IdFilter()


# The endpoints


class Models(ListEndpoint):
    """The project's versions, and the bases that every project has."""

    roles = {"GET": ADMINS}
    serializer_class, filterset_class = ModelBody, ModelFilter

    def get_queryset(self) -> QuerySet:
        return shown(self.project)


class ModelView(DetailEndpoint):
    """One version, with its ancestors and descendants."""

    roles, serializer_class = {"GET": ADMINS}, ModelDetail

    def get_queryset(self) -> QuerySet:
        return shown(self.project)


class Register(Action):
    """Register a model whose files are on the server's machine."""

    input, output, status = RegisterInput, ModelBody, 201

    def act(self, data: dict[str, Any]) -> ActionResult:
        form = filled(RegisterForm, data)
        name, folder = form.cleaned_data["name"], Path(form.cleaned_data["folder"])
        return self.registered(registry.register_local(self.actor, self.project, name, folder))

    def registered(self, version: ModelVersion) -> Answer:
        at = f"/api/v1/projects/{self.project.slug}/models/{version.pk}"
        return Answer(shown(self.project).get(pk=version.pk), location=at)


class Serve(Register):
    """Register a model that another server runs."""

    input = ServeInput

    def act(self, data: dict[str, Any]) -> ActionResult:
        form = filled(ServedForm, data)
        return self.registered(registry.register_served(self.actor, self.project, **form.values()))


class Promote(Action):
    """Make it champion: it samples the next round. Promote the previous version to undo this."""

    output = AliasBody

    def act(self, data: dict[str, Any]) -> ActionResult:
        version = get_object_or_404(registry.policies(self.project), pk=self.kwargs["pk"])
        return registry.promote(self.actor, self.project, version)


class Aliases(ListEndpoint):
    """The version that each alias points at."""

    roles, serializer_class = {"GET": ADMINS}, AliasBody

    def get_queryset(self) -> QuerySet:
        return Alias.objects.filter(project=self.project)
