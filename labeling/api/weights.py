"""Labeler weights of a dataset: store them, read them."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from labeling.api.datasets import OfDataset
from labeling.api.datasets import visible as datasets_of
from modelops import weights
from modelops.models import LabelerWeights
from people.access import READERS
from people.api.base import ActionMixin, Answer, DetailEndpoint, Listing
from people.models import Project

BY_LABELER = {
    "type": "object",
    "additionalProperties": {
        "type": "number",
        "minimum": 0,
        "maximum": weights.LARGEST,
    },
}


@extend_schema_field(BY_LABELER)
class ByLabeler(serializers.DictField):
    """Weights by the labeler's number."""

    child = serializers.FloatField(min_value=0, max_value=weights.LARGEST)


class WeightsInput(serializers.Serializer):
    """How much the judgments of some labelers count; those of all others count 1."""

    weights = ByLabeler(help_text="By the dataset's number of the labeler, two decimals at most.")
    note = serializers.CharField(max_length=200, required=False, allow_blank=True)
    of = serializers.CharField(
        max_length=64,
        required=False,
        help_text="The dataset's `digest`, if the weights are to be refused for any other one.",
    )


class WeightsBody(serializers.ModelSerializer):
    """Labeler weights. They never change. `digest` is the sha256 of the canonical JSON line
    `{"dataset": …, "weights": …}`, and what recipes name.
    """

    weights = ByLabeler(source="by_labeler", read_only=True)
    missing = serializers.SerializerMethodField(
        help_text="How many labelers of the dataset it does not name: their judgments count 1."
    )
    dataset_digest = serializers.CharField(source="dataset.digest", read_only=True)

    class Meta:
        model = LabelerWeights
        fields = ["id", "dataset", "dataset_digest", "digest", "weights", "missing", "note"]
        fields += ["created_at"]
        read_only_fields = fields

    def get_missing(self, stored: LabelerWeights) -> int:
        return weights.missing(stored)


def visible(project: Project) -> QuerySet[LabelerWeights]:
    mine = LabelerWeights.objects.filter(dataset__project=project)
    return mine.select_related("dataset")


class Weights(Listing, ActionMixin, OfDataset):
    """The labeler weights of a dataset. POST stores further ones; the same ones are stored once."""

    roles, scopes = {"GET": READERS, "POST": READERS}, {"POST": "launch"}
    input, output, status = WeightsInput, WeightsBody, 201
    also, refuses = {"POST": {200: WeightsBody}}, {"POST": (410,)}

    def get_serializer_class(self) -> type[BaseSerializer]:
        return WeightsBody

    def get_queryset(self) -> QuerySet:
        return visible(self.project).filter(dataset=self.kwargs.get("pk"))

    def get(self, request: Request, *args, **kwargs) -> Response:
        get_object_or_404(datasets_of(self.project), pk=kwargs["pk"])
        return super().get(request, *args, **kwargs)

    def act(self, data: dict[str, Any]) -> Answer:
        if data.get("of", self.dataset.digest) != self.dataset.digest:
            message = _("These weights are of another dataset than %(short)s.")
            raise serializers.ValidationError({"of": [message % {"short": self.dataset.short}]})
        try:
            stored, new = weights.store(
                self.actor, self.dataset, data["weights"], data.get("note", "")
            )
        except weights.BadWeights as error:
            raise serializers.ValidationError({"weights": [str(error)]}) from error
        return Answer(stored, 201 if new else 200)


class WeightsView(DetailEndpoint):
    """Labeler weights of a dataset."""

    roles, serializer_class = {"GET": READERS}, WeightsBody

    def get_queryset(self) -> QuerySet:
        return visible(self.project)
