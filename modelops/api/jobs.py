"""Jobs: start, watch, stop, resume."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import django_filters as filters
from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from modelops import jobs, recipes
from modelops.api.shared import Setting, filled, started
from modelops.forms.jobs import JobForm
from modelops.kinds import KINDS, LINKS, STARTABLE
from modelops.models import Job, LogLine, Metric
from people.access import READERS, Role
from people.api.base import (
    Action,
    ActionMixin,
    ActionResult,
    DetailEndpoint,
    Endpoint,
    ListEndpoint,
    Listing,
    SiteEndpoint,
)
from people.api.filters import MOST_ID, BooleanFilter, IdFilter
from people.models import Membership

# What has a page to start it has an endpoint of its own as well.
HERE = [kind for kind in STARTABLE if not KINDS[kind].start_page]
RESEARCHERS = [kind for kind, description in KINDS.items() if description.researchers]
SHARED = [kind for kind, description in KINDS.items() if description.shared]


class JobBody(serializers.ModelSerializer):
    """One run of a worker: what it was told, how far it is, what became of it."""

    percent = serializers.IntegerField(read_only=True)
    seconds_left = serializers.FloatField(
        read_only=True, allow_null=True, help_text="At the present rate."
    )
    cancelling = serializers.BooleanField(source="cancel_requested", read_only=True)
    requested_by = serializers.EmailField(
        source="requested_by.email", allow_null=True, default=None
    )
    model_made = serializers.IntegerField(source="model_made.pk", allow_null=True, default=None)
    dataset_made = serializers.SerializerMethodField(help_text="What a freeze froze.")
    recipe, result = serializers.DictField(), serializers.DictField()

    class Meta:
        model = Job
        fields = [
            "id",
            "kind",
            "state",
            "recipe",
            "model_version",
            "dataset",
            "reward_model",
            "rehearsal",
        ]
        fields += [
            "done",
            "total",
            "percent",
            "seconds_left",
            "note",
            "error",
            "result",
            "cancelling",
        ]
        fields += ["machine", "devices"]
        fields += [
            "requested_by",
            "model_made",
            "dataset_made",
            "created_at",
            "started_at",
            "finished_at",
        ]
        read_only_fields = fields

    def get_dataset_made(self, job: Job) -> int | None:
        return job.result.get("dataset")


def of_id(help: str) -> serializers.IntegerField:
    return serializers.IntegerField(required=False, min_value=1, max_value=MOST_ID, help_text=help)


class JobInput(serializers.Serializer):
    """A job to start. What is left out is as the start page has it at first: the champion, the
    newest dataset.
    """

    kind = serializers.ChoiceField([(kind.value, kind.label) for kind in HERE])
    recipe = serializers.DictField(
        child=Setting(),
        required=False,
        help_text="Settings of the kind; /api/v1/recipes lists them.",
    )
    model_version = of_id("Which answers, or is trained further.")
    dataset = of_id("Which is learned from.")
    reward_model = of_id("Which scores a PPO's answers, or a sampling's draws.")
    rehearsal = of_id("A dataset that a PPO keeps in mind.")


class Figure(serializers.FloatField):
    """Null where it is not a number: a run that diverged says so."""

    def to_representation(self, value: float) -> float | None:
        return float(value) if math.isfinite(value) else None


class MetricBody(serializers.ModelSerializer):
    """A figure that a job reported: at a step, or (step null) of its result."""

    value, low, high = (Figure(allow_null=True) for _ in range(3))

    class Meta:
        model = Metric
        fields = ["id", "name", "slice", "step", "value", "low", "high", "n", "method"]
        read_only_fields = fields


class LineBody(serializers.ModelSerializer):
    """A line that a job printed."""

    class Meta:
        model = LogLine
        fields = ["id", "at", "text"]
        read_only_fields = fields


class SettingBody(serializers.Serializer):
    """One setting."""

    name, help = serializers.CharField(), serializers.CharField()
    default = Setting(help_text="Empty for a list and an object.")
    low, high = serializers.FloatField(allow_null=True), serializers.FloatField(allow_null=True)
    choices = serializers.ListField(child=serializers.CharField())


class RecipeBody(serializers.Serializer):
    """What a kind of job can be told."""

    kind, label = serializers.ChoiceField(Job.Kind.choices), serializers.CharField()
    settings = SettingBody(many=True)


class RecipesBody(serializers.Serializer):
    """What every kind of job can be told."""

    recipes = RecipeBody(many=True)


def settings_of(kind: str) -> list[dict[str, Any]]:
    """Each setting with its sentence and the values that it may take."""
    fields = dataclasses.fields(recipes.RECIPES[kind])
    return [{"name": field.name, "default": _default(field), **field.metadata} for field in fields]


def _default(field: dataclasses.Field) -> Any:
    value = recipes.default_of(field)
    return "" if isinstance(value, list | dict) else value


def visible(eyes: Membership) -> QuerySet[Job]:
    """The project's jobs; to a researcher, those that they asked for, and those that make files of
    datasets or compare them.
    """
    of_project = Job.objects.filter(project=eyes.project).select_related(
        "project", "requested_by", "model_made"
    )
    if eyes.role == Role.ADMIN:
        return of_project
    own = Q(kind__in=RESEARCHERS, requested_by=eyes.user)
    return of_project.filter(own | Q(kind__in=SHARED))


class JobFilter(filters.FilterSet):
    """What jobs may be chosen by."""

    kind = filters.ChoiceFilter(choices=Job.Kind.choices)
    state = filters.ChoiceFilter(choices=Job.State.choices)
    model_version, dataset = IdFilter(), IdFilter()


# The endpoints


class Recipes(SiteEndpoint):
    """What each kind of job can be told."""

    serializer_class = RecipesBody

    def get(self, request: Request, *args, **kwargs) -> Response:
        kinds = [(Job.Kind(kind), kind) for kind in recipes.RECIPES]
        return Response(
            {
                "recipes": [
                    {"kind": kind, "label": choice.label, "settings": settings_of(kind)}
                    for choice, kind in kinds
                ]
            }
        )


class Jobs(Listing, ActionMixin, Endpoint):
    """The project's jobs. A new one waits for a worker; its Location tells how far it is."""

    roles, scopes = {"GET": READERS}, {"POST": "launch"}
    input, output, status = JobInput, JobBody, 202
    filterset_class = JobFilter

    def get_serializer_class(self) -> type[BaseSerializer]:
        return JobBody

    def get_queryset(self) -> QuerySet:
        return visible(self.membership)

    def act(self, data: dict[str, Any]) -> ActionResult:
        kind, recipe = data.pop("kind"), data.pop("recipe", {})
        if kind == Job.Kind.SAMPLE and "others" in recipe:
            recipe["others"] = str(recipe["others"]).splitlines()
        try:
            refuse_unknown(kind, recipe)
            return started(
                self.actor,
                filled(lambda given: JobForm(self.project, kind, given), recipe | data),
            )
        except serializers.ValidationError as error:
            raise serializers.ValidationError(at_recipe(error.detail)) from error


def refuse_unknown(kind: str, recipe: dict[str, Any]) -> None:
    known = recipes.RECIPES[kind].__dataclass_fields__
    unknown = {
        name: [f"A job of this kind has no such setting: {', '.join(known)}."]
        for name in recipe.keys() - known
    }
    if unknown:
        raise serializers.ValidationError(unknown)


def at_recipe(errors: dict[str, list]) -> dict[str, Any]:
    """A form is flat; a request has its settings in `recipe`."""
    links = {name: messages for name, messages in errors.items() if name in LINKS}
    rest = {name: messages for name, messages in errors.items() if name not in links}
    return links | ({"recipe": rest} if rest else {})


class JobView(DetailEndpoint):
    """One job."""

    roles, serializer_class = {"GET": READERS}, JobBody

    def get_queryset(self) -> QuerySet:
        return visible(self.membership)


class JobAction(Action):
    """Something done to a job; the answer says how it stands then."""

    scopes, output = {"POST": "launch"}, JobBody

    def act(self, data: dict[str, Any]) -> ActionResult:
        job = get_object_or_404(visible(self.membership), pk=self.kwargs["pk"])
        self.do(job)
        return visible(self.membership).get(pk=job.pk)

    def do(self, job: Job) -> None:
        raise NotImplementedError


class Cancel(JobAction):
    """Stop it: at once where it waits, else at its next beat. Cancelling what is over changes
    nothing.
    """

    def do(self, job: Job) -> None:
        jobs.cancel(self.actor, job)


class Resume(JobAction):
    """Queue a failed or cancelled job again: it goes on from what it had finished."""

    def do(self, job: Job) -> None:
        jobs.resume(self.actor, job)


class OfJob(ListEndpoint):
    """A list that belongs to a job, oldest first."""

    roles, ordering = {"GET": READERS}, "pk"
    rows: Any = None

    def get(self, request: Request, *args, **kwargs) -> Response:
        get_object_or_404(visible(self.membership), pk=kwargs["pk"])
        return super().get(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet:
        return self.rows.filter(job=self.kwargs.get("pk"))


class LineFilter(filters.FilterSet):
    after = IdFilter(
        field_name="pk", lookup_expr="gt", label="Only lines after the one of this id."
    )


class Log(OfJob):
    """What it printed: the newest 2,000 lines are kept."""

    serializer_class, filterset_class, rows = LineBody, LineFilter, LogLine.objects


class MetricFilter(filters.FilterSet):
    """What figures may be chosen by."""

    name, slice = filters.CharFilter(), filters.CharFilter()
    final = BooleanFilter(
        field_name="step", lookup_expr="isnull", label="Of the result, or step by step."
    )


class Metrics(OfJob):
    """Its figures, in the order of reporting."""

    serializer_class, filterset_class, rows = MetricBody, MetricFilter, Metric.objects
