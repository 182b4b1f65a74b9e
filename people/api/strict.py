"""Refuse unknown fields and parameters: an ignored misspelling would be misleading."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request


class Nothing(serializers.Serializer):
    """The input of an action that takes none."""


def read(serializer: serializers.Serializer) -> Any:
    """The validated data. Raises ValidationError where a field is unknown, read-only or invalid."""
    if errors := faults(serializer, serializer.initial_data):
        raise serializers.ValidationError(errors)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def faults(field: serializers.Field, value: Any) -> Any:
    """Unknown and read-only fields in a nested value, in the form of ValidationError; else empty.

    Also numbers that are not finite ("nan", "inf", 1e999), which DRF's fields accept.
    """
    if isinstance(field, serializers.Serializer):
        return _of_names(field, value) if isinstance(value, Mapping) else {}
    if isinstance(field, serializers.ListSerializer | serializers.ListField):
        return _of_members(field.child, enumerate(value)) if isinstance(value, list) else {}
    if isinstance(field, serializers.DictField):
        return _of_members(field.child, value.items()) if isinstance(value, Mapping) else {}
    if isinstance(field, serializers.FloatField) and _is_infinite(value):
        return [_("Enter a finite number.")]
    return {}


def _of_names(serializer: serializers.Serializer, value: Mapping) -> dict[str, Any]:
    errors: dict[str, Any] = {}
    for name, inner in value.items():
        field = serializer.fields.get(name)
        if field is None:
            errors[name] = [unknown(serializer.fields)]
        elif field.read_only:
            errors[name] = [_("This field is read-only.")]
        elif inner_errors := faults(field, inner):
            errors[name] = inner_errors
    return errors


def _of_members(child: serializers.Field, members: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    all_errors = ((str(name), faults(child, inner)) for name, inner in members)
    return {name: errors for name, errors in all_errors if errors}


def _is_infinite(value: Any) -> bool:
    try:
        return isinstance(value, str | float) and not math.isfinite(float(value))
    except ValueError:
        return False  # the field reports text that is not a number


def unknown(known: Iterable[str]) -> str:
    """The error message for an unknown name."""
    if names := ", ".join(known):
        return _("Unknown name. Allowed: %(names)s.") % {"names": names}
    return _("Unknown name. None is allowed here.")


def refuse_parameters(request: Request, known: Iterable[str]) -> None:
    """Raises ValidationError for query parameters that are unknown or repeated."""
    known = sorted(known)
    errors = {}
    for name, values in request.query_params.lists():
        if name not in known:
            errors[name] = [unknown(known)]
        elif len(values) > 1:
            errors[name] = [_("Use this parameter only once.")]
    if errors:
        raise serializers.ValidationError(errors)
