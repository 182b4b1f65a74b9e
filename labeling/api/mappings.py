"""Mappings that a project keeps: how files of a layout are read."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from labeling.imports import saved_mappings
from labeling.models import ImportMapping
from people.access import ADMINS
from people.api.base import ActionMixin, ActionResult, Answer, Detail, Endpoint, Listing


class MappingInput(serializers.Serializer):
    """A mapping, to be kept under a name. It takes the place of an earlier one of that name."""

    name = serializers.CharField(max_length=80)
    mapping = serializers.DictField(help_text="Which field of a row is what: docs/mappings.md.")


class MappingBody(serializers.ModelSerializer):
    """A mapping of the project."""

    mapping = serializers.DictField()

    class Meta:
        model = ImportMapping
        fields = ["id", "name", "mapping", "created_at"]
        read_only_fields = fields


def visible(endpoint: Endpoint) -> QuerySet[ImportMapping]:
    return ImportMapping.objects.filter(project=endpoint.project).select_related("project")


# The endpoints


class Mappings(Listing, ActionMixin, Endpoint):
    """The mappings that the project keeps."""

    roles = {"GET": ADMINS}
    input, output, status = MappingInput, MappingBody, 201
    refuses = {"POST": (422,)}

    def get_serializer_class(self) -> type[BaseSerializer]:
        return MappingBody

    def get_queryset(self) -> QuerySet:
        return visible(self)

    def act(self, data: dict[str, Any]) -> ActionResult:
        saved = saved_mappings.save(self.actor, self.project, **data)
        return Answer(saved, location=f"/api/v1/projects/{self.project.slug}/mappings/{saved.pk}")


class MappingView(Detail, Endpoint):
    """One mapping."""

    roles, serializer_class = {"GET": ADMINS}, MappingBody

    def get_queryset(self) -> QuerySet:
        return visible(self)

    def delete(self, request: Request, *args, **kwargs) -> Response:
        """Remove it. Imports that were made with it keep their copies."""
        saved_mappings.delete(self.actor, self.get_object())
        return Response(status=204)
