"""The small controls of the ranking form: `{% load choices %}`. A card has a hundred, and node by
node a template takes longer for them than the database for the task.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timeuntil
from django.utils.timezone import now

register = template.Library()


@register.simple_tag
def options(values: Iterable[tuple], chosen: Any) -> SafeString:
    """The options of a select for (value, name)."""
    html = '<option value="{}"{}>{}</option>'
    return format_html_join(
        "", html, ((value, " selected" * (value == chosen), name) for value, name in values)
    )


@register.simple_tag
def chips(field: str, values: Iterable[tuple], chosen: Collection) -> SafeString:
    """A checkbox for each (value, name)."""
    html = '<label class="chip"><input type="checkbox" name="{}" value="{}"{}> {}</label>'
    rows = ((field, value, " checked" * (value in chosen), name) for value, name in values)
    return format_html_join("", html, rows)


@register.simple_tag
def scale(field: str, values: Iterable, chosen: Any) -> SafeString:
    """A radio button for each value, which its digit chooses."""
    html = '<label><input type="radio" name="{}" value="{}"{}><span>{}</span></label>'
    return format_html_join(
        "", html, ((field, value, " checked" * (value == chosen), value) for value in values)
    )


@register.simple_tag
def steps(field: str, buttons: Iterable[tuple[str, str, str, str]], chosen: str) -> SafeString:
    """A radio button for each of `buttons` (value, digit, what stands on it, its label)."""
    html = (
        '<label><input type="radio" name="{}" value="{}" data-key="{}"{}>'
        '<span dir="auto">{}</span>{}{}</label>'
    )
    return format_html_join(
        "",
        html,
        (
            (
                field,
                value,
                digit,
                " checked" * (value == chosen),
                text,
                format_html(' <small dir="auto">{}</small>', label) if label else "",
                format_html(" <kbd>{}</kbd>", digit) if digit and digit != text else "",
            )
            for value, digit, text, label in buttons
        ),
    )


@register.filter
def time_left(moment: datetime) -> str:
    """How long it is until this moment, in whole minutes: rounded up, so never 0."""
    at = now()
    return timeuntil(max(moment, at) + timedelta(seconds=59), at)
