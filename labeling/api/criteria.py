"""The criteria of a project: what is asked of answers and rankings beside the ranks."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django.db.models import QuerySet
from django.http import Http404
from rest_framework import serializers
from rest_framework.serializers import BaseSerializer

from labeling import project_settings
from labeling.judging import criteria, presets
from labeling.models import Criterion
from labeling.models.criteria import LONGEST_KEY
from labeling.models.rules import FLAGS
from people.access import ANYONE
from people.api.base import Action, ActionMixin, Answer, EditEndpoint, Endpoint, Listing
from people.api.filters import BooleanFilter
from people.models import Project


class CriterionFields(serializers.Serializer):
    """What an admin says of a criterion."""

    scope = serializers.ChoiceField(
        Criterion.Scope.choices,
        default=Criterion.Scope.ANSWER,
        help_text="Whether each answer gets a value, or the ranking one.",
    )
    kind = serializers.ChoiceField(Criterion.Kind.choices)
    question = serializers.CharField(max_length=300, help_text="What labelers are asked.")
    labels = serializers.ListField(
        child=serializers.JSONField(),
        max_length=criteria.MOST_STEPS,
        default=list,
        help_text=(
            'Of a scale its steps, from the lowest: `{"value": 1, "label": "poor"}`. Of a choice '
            "its texts. Of other kinds nothing."
        ),
    )
    required = serializers.BooleanField(
        default=False, help_text="Whether a judgment without a value is refused."
    )


class NewCriterion(CriterionFields):
    """A criterion that is asked from now on."""

    key = serializers.SlugField(
        max_length=LONGEST_KEY, help_text="Its name in judgments and frozen rows."
    )


class CriterionBody(CriterionFields):
    """A criterion in one revision."""

    key = serializers.SlugField(read_only=True)
    revision = serializers.IntegerField(
        read_only=True, help_text="A change makes the next one and retires the one before."
    )
    name = serializers.CharField(
        read_only=True,
        help_text="What judgments and frozen rows call it: `key`, or `key@2` of revision 2.",
    )
    asked = serializers.SerializerMethodField(help_text="Whether labelers are asked now.")
    preset = serializers.CharField(
        read_only=True, help_text="`InstructGPT`: the project's settings switch it on and off."
    )
    retired_at = serializers.DateTimeField(read_only=True, allow_null=True)

    def get_asked(self, criterion: Criterion) -> bool:
        project = criterion.project
        if not criterion.preset:
            return criterion.retired_at is None
        if criterion.kind == Criterion.Kind.SCALE:
            return project.rules.rating
        return criterion.question in project.rules.flags

    def to_representation(self, criterion: Criterion) -> dict[str, Any]:
        """Standard flags are stored by their names: their questions are for people."""
        body = super().to_representation(criterion)
        if criterion.preset:
            body["question"] = str(FLAGS.get(criterion.question, criterion.question))
        return body


class CriterionFilter(filters.FilterSet):
    retired = BooleanFilter(method="of_retired", label="Those that are not asked any more.")
    key = filters.CharFilter()
    scope = filters.ChoiceFilter(choices=Criterion.Scope.choices)
    kind = filters.ChoiceFilter(choices=Criterion.Kind.choices)

    def of_retired(self, queryset: QuerySet, name: str, retired: bool) -> QuerySet:
        return queryset.filter(retired_at__isnull=not retired)


def of_project(project: Project) -> QuerySet[Criterion]:
    return Criterion.objects.filter(project=project).select_related("project__rules")


# The endpoints


class Criteria(Listing, ActionMixin, Endpoint):
    """The project's criteria in all their revisions; admins add some.

    Ratings and flags are criteria of the preset InstructGPT. Judgments hold them in `ratings` and
    `flags`, all other values in `scores`.
    """

    roles = {"GET": ANYONE}
    input, output, status = NewCriterion, CriterionBody, 201
    filterset_class = CriterionFilter

    def get_serializer_class(self) -> type[BaseSerializer]:
        return CriterionBody

    def get_queryset(self) -> QuerySet:
        return of_project(self.project)

    def act(self, data: dict[str, Any]) -> Answer:
        made = criteria.create(self.actor, self.project, **data)
        return Answer(made, location=f"/api/v1/projects/{self.project.slug}/criteria/{made.key}")


class OfKey:
    """The criterion of this key, in the revision that is asked; in its last one once retired."""

    def get_object(self) -> Criterion:
        of_key = of_project(self.project).filter(key=self.kwargs["key"])
        criterion = of_key.order_by("-revision").first()
        if criterion is None:
            raise Http404
        return criterion


class CriterionView(OfKey, EditEndpoint):
    """A criterion. A change makes its next revision: what was said before keeps its question."""

    roles = {"GET": ANYONE}
    serializer_class = CriterionBody

    def edit(self, row: Criterion, changes: dict[str, Any]) -> None:
        criteria.change(self.actor, row, **changes)


class PresetBody(serializers.Serializer):
    """A preset."""

    preset = serializers.ChoiceField(
        list(presets.presets()),
        help_text="What the project asks beside ranks from now on.",
    )


class Asking(serializers.Serializer):
    """What the project asks beside ranks."""

    rating = serializers.BooleanField()
    flags = serializers.ListField(child=serializers.CharField())
    criteria = CriterionBody(many=True)


class AskPreset(Action):
    """Ask exactly what a preset says: the rating, the flags and the criteria. Other criteria are
    retired, but for `reason`; what was said stays.
    """

    input, output = PresetBody, Asking

    def act(self, data: dict[str, Any]) -> Any:
        project_settings.ask(self.actor, self.project, presets.presets()[data["preset"]])
        rules = self.project.rules
        asked = of_project(self.project).filter(preset="", retired_at=None).order_by("key")
        shown = CriterionBody(asked, many=True).data
        return {"rating": rules.rating, "flags": rules.flags, "criteria": shown}


class Retire(OfKey, Action):
    """Ask it no more. Its values stay in the judgments, and its key can be added again."""

    output = CriterionBody

    def act(self, data: dict[str, Any]) -> Criterion:
        criterion = self.get_object()
        criteria.retire(self.actor, criterion)
        return criterion
