"""What a request says and nobody reads is refused: ignored, a misspelt name would mislead."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request


class Nothing(serializers.Serializer):
    """The input of a verb that takes none."""


def read(given: serializers.Serializer) -> Any:
    """The validated data. Raises ValidationError where a field is unknown, read-only or wrong."""
    if wrong := faults(given, given.initial_data):
        raise serializers.ValidationError(wrong)
    given.is_valid(raise_exception=True)
    return given.validated_data


def faults(field: serializers.Field, value: Any) -> Any:
    """What nobody reads in the value, however deep, as ValidationError takes it; else nothing.

    A number that is none ("nan", "inf", 1e999) counts too: DRF's own fields let it pass.
    """
    if isinstance(field, serializers.Serializer):
        return _of_names(field, value) if isinstance(value, Mapping) else {}
    if isinstance(field, serializers.ListSerializer | serializers.ListField):
        return _of_members(field.child, enumerate(value)) if isinstance(value, list) else {}
    if isinstance(field, serializers.DictField):
        return _of_members(field.child, value.items()) if isinstance(value, Mapping) else {}
    if isinstance(field, serializers.FloatField) and _endless(value):
        return [_("A finite number is needed.")]
    return {}


def _of_names(serializer: serializers.Serializer, value: Mapping) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, inner in value.items():
        field = serializer.fields.get(name)
        if field is None:
            found[name] = [unknown(serializer.fields)]
        elif field.read_only:
            found[name] = [_("This can't be changed here.")]
        elif wrong := faults(field, inner):
            found[name] = wrong
    return found


def _of_members(child: serializers.Field, members: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    checked = ((str(name), faults(child, inner)) for name, inner in members)
    return {name: wrong for name, wrong in checked if wrong}


def _endless(value: Any) -> bool:
    try:
        return isinstance(value, str | float) and not math.isfinite(float(value))
    except ValueError:
        return False  # the field itself says what is wrong


def unknown(known: Iterable[str]) -> str:
    if names := ", ".join(known):
        return _("This name is unknown. Known here: %(names)s.") % {"names": names}
    return _("This name is unknown: nothing is read here.")


def refuse_parameters(request: Request, known: Iterable[str]) -> None:
    """Raises ValidationError at each parameter of the query that is unknown, or given twice."""
    known, wrong = sorted(known), {}
    for name, values in request.query_params.lists():
        if name not in known:
            wrong[name] = [unknown(known)]
        elif len(values) > 1:
            wrong[name] = [_("Give it once.")]
    if wrong:
        raise serializers.ValidationError(wrong)
