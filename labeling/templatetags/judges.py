"""Counts by kind of judge as a sentence says them: `{% load judges %}{{ counts|by_kind }}`."""

from __future__ import annotations

from collections.abc import Mapping

from django import template
from django.utils.translation import gettext as _

from labeling.models import Judge
from modelops.templatetags.figures import grouped

register = template.Library()


@register.filter
def by_kind(counts: Mapping[str, int]) -> str:
    """`{"person": 1204, "model": 3}` → "1,204 by people, 3 by models"; kinds without any are left
    out.
    """
    texts = {
        Judge.Kind.PERSON: _("%(n)s by people"),
        Judge.Kind.MODEL: _("%(n)s by models"),
        Judge.Kind.SCRIPT: _("%(n)s by scripts"),
        Judge.Kind.UNKNOWN: _("%(n)s by judges of unknown kind"),
    }
    return ", ".join(
        text % {"n": grouped(counts[kind])} for kind, text in texts.items() if counts.get(kind)
    )
