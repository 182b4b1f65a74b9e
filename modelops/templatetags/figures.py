"""Filters that say figures: `{% load figures %}`."""

from __future__ import annotations

import json
from typing import Any

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from modelops import charts
from modelops.models import Metric

register = template.Library()
register.filter("figure", charts.with_interval)
register.filter("plus_minus", charts.plus_minus)
register.filter("metric_name", charts.name_of)
register.filter("duration", charts.duration)


@register.filter
def rate(per_second: float) -> str:
    """3.1 /s, or 12 /min where that is easier to read."""
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{per_second * 60:.1f}/min"


@register.filter
def setting(value: Any) -> str:
    """A recipe's value as a person writes it."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, indent=1) if value else "–"
    return str(value) or "–"


@register.filter
def grouped(number: int) -> str:
    """1,204."""
    return number_format(number, force_grouping=True)


@register.filter
def percent(share: float) -> str:
    """68.9 %."""
    return f"{100 * share:.1f}\u00a0%"


@register.filter
def half_width(metric: Metric) -> str:
    """Half of a share's interval, in percent points: 2.4."""
    return f"{50 * (metric.high - metric.low):.1f}"
