"""Erase what somebody judged in a project."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.shortcuts import get_object_or_404
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from labeling import erasure
from labeling.api.shared import Apart
from people.access import ADMINS
from people.api.base import Endpoint
from people.models import Membership


class ErasureBody(serializers.Serializer):
    """What an erasure affects: GET what it would affect, POST what it did."""

    rankings = serializers.IntegerField()
    datasets = serializers.SerializerMethodField(
        help_text="Withdrawn, and frozen anew without them."
    )
    models = serializers.SerializerMethodField(
        help_text="Model versions that learned from what is erased; they stay."
    )
    messages = serializers.IntegerField(help_text="Theirs, and the answers to them.")
    reviews = serializers.IntegerField(help_text="Of other people's rankings.")

    def get_datasets(self, erased: erasure.Erasure) -> list[int]:
        return [dataset.pk for dataset in erased.datasets]

    def get_models(self, erased: erasure.Erasure) -> list[int]:
        return [version.pk for version in erased.models]


class EraseInput(serializers.Serializer):
    """The reason."""

    why = serializers.CharField(
        max_length=200, help_text="Stands where the withdrawn datasets stood; name nobody."
    )


class Erase(Apart, Endpoint):
    """What somebody judged in this project: GET shows what would be erased, POST erases it. A
    second POST changes nothing.
    """

    roles = {"GET": ADMINS, "POST": ADMINS}
    input, output = EraseInput, ErasureBody

    def get_serializer_class(self) -> type[BaseSerializer]:
        return ErasureBody

    @cached_property
    def member(self) -> Membership:
        return get_object_or_404(
            Membership.objects.select_related("user"), project=self.project, pk=self.kwargs["pk"]
        )

    def get(self, request: Request, *args, **kwargs) -> Response:
        return Response(ErasureBody(erasure.foresee(self.project, self.member.user)).data)

    def act(self, data: dict[str, Any]) -> erasure.Erasure:
        return erasure.erase(self.actor, self.project, self.member.user, data["why"])
