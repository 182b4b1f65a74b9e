"""Filters that several lists share."""

from __future__ import annotations

import django_filters as filters

from people.api.base import MOST_ID


class IdFilter(filters.NumberFilter):
    """Chooses by the id of something else."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, min_value=1, max_value=MOST_ID, **kwargs)
