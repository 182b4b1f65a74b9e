"""Filters of lists. An invalid value is an error, never ignored."""

from __future__ import annotations

import django_filters as filters
from django import forms
from django.db import models
from django.utils.translation import gettext as _
from django_filters.rest_framework import DjangoFilterBackend
from django_filters.rest_framework import FilterSet as BaseFilterSet

MOST_ID = 2**63 - 1


class IdFilter(filters.NumberFilter):
    """Filters by the id of a related object."""

    field_class = forms.IntegerField  # so that 1.5 is an error and not read as 1

    def __init__(self, *args, **kwargs):
        super().__init__(*args, min_value=1, max_value=MOST_ID, **kwargs)


class TrueOrFalse(forms.NullBooleanField):
    """true, false or empty. Django's own field reads any other text as empty."""

    widget = forms.TextInput

    def to_python(self, value: str | None) -> bool | None:
        if not value:
            return None
        if value.lower() not in ("true", "false"):
            raise forms.ValidationError(_("Enter true or false."), code="invalid")
        return value.lower() == "true"


class BooleanFilter(filters.BooleanFilter):
    field_class = TrueOrFalse


class FilterSet(BaseFilterSet):
    """Filters generated from the fields of a model."""

    FILTER_DEFAULTS = BaseFilterSet.FILTER_DEFAULTS | {
        models.BooleanField: {"filter_class": BooleanFilter}
    }


class Filters(DjangoFilterBackend):
    filterset_base = FilterSet
