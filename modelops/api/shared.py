"""What a recipe is to a script: the start form's fields, and its mistakes at theirs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from django import forms as pages
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from modelops import recipes
from modelops.models import Job
from people.api.base import Answer
from people.models import User

RETRY_AFTER = {"Retry-After": "5"}  # seconds, of whoever waits for a job
SETTING = {"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}


@extend_schema_field(SETTING)
class Setting(serializers.Field):
    """A text, a number or a boolean."""

    default_error_messages = {"kind": "A setting is a text, a number or a boolean."}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str | int | float | bool):
            self.fail("kind")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


def recipe_field(field: dataclasses.Field) -> serializers.Field:
    """A setting as a field of its own type, with its bounds and its sentence."""
    about = {"required": False, "help_text": field.metadata["help"]}
    default = recipes.default_of(field)
    if isinstance(default, dict):
        return serializers.DictField(**about)
    if isinstance(default, list):
        return serializers.ListField(child=serializers.CharField(max_length=1000), **about)
    low, high, choices = (field.metadata[name] for name in ("low", "high", "choices"))
    if isinstance(default, bool):
        return serializers.BooleanField(**about)
    if isinstance(default, int | float):
        kind = serializers.IntegerField if isinstance(default, int) else serializers.FloatField
        return kind(min_value=low, max_value=high, **about)
    if choices:
        return serializers.ChoiceField(choices, **about)
    return serializers.CharField(max_length=1000, allow_blank=True, **about)


def filled(make: Callable[[Any], pages.Form], given: dict[str, Any]) -> pages.Form:
    """The page's form with what was given; the rest as it stands there at first. Raises
    ValidationError at its fields.
    """
    form = make({bound.name: bound.value() for bound in make(None)} | given)
    if not form.is_valid():
        raise serializers.ValidationError(form.errors)
    return form


def started(actor: User, form: pages.Form, **options: Any) -> Answer:
    """The job that the form asks for, to be waited for. Raises ValidationError at the setting that
    is wrong.
    """
    try:
        return under_way(form.request(actor, **options))
    except recipes.InvalidRecipe as error:
        raise serializers.ValidationError({error.field: [error.message]}) from error


def under_way(job: Job) -> Answer:
    return Answer(job, 202, location=f"/api/v1/projects/{job.project.slug}/jobs/{job.pk}")
