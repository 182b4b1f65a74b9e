"""How lists are filtered: by known names and readable values alone."""

from __future__ import annotations

import django_filters as filters
from django import forms
from django.db import models
from django.utils.translation import gettext as _
from django_filters.rest_framework import DjangoFilterBackend
from django_filters.rest_framework import FilterSet as Plain

MOST_ID = 2**63 - 1


class IdFilter(filters.NumberFilter):
    """Chooses by the id of something else."""

    field_class = forms.IntegerField  # 1.5 is nobody's id, and not that of 1

    def __init__(self, *args, **kwargs):
        super().__init__(*args, min_value=1, max_value=MOST_ID, **kwargs)


class TrueOrFalse(forms.NullBooleanField):
    """true, false, or nothing; Django's own takes anything else for nothing."""

    widget = forms.TextInput

    def to_python(self, value: str | None) -> bool | None:
        if not value:
            return None
        if value.lower() not in ("true", "false"):
            raise forms.ValidationError(_("Write true or false."), code="invalid")
        return value.lower() == "true"


class BooleanFilter(filters.BooleanFilter):
    field_class = TrueOrFalse


class FilterSet(Plain):
    """The filters that are made of a model's fields."""

    FILTER_DEFAULTS = Plain.FILTER_DEFAULTS | {models.BooleanField: {"filter_class": BooleanFilter}}


class Filters(DjangoFilterBackend):
    filterset_base = FilterSet
