"""Which entry of the navigation the page at hand belongs to: `{% current "prompts" %}`."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

# The entries that stand for several pages, by the names of their URLs; any other for its own alone.
PAGES = {
    "members": {"members", "settings", "webhooks", "webhook", "webhook-renew", "member-erase"},
    "prompts": {
        "prompts",
        "prompt",
        "prompts-upload",
        "prompts-confirm",
        "set-aside",
        "task-gold",
        "templates",
        "template",
    },
    "disputes": {"disputes", "task-settle"},
    "reviews": {"reviews", "review", "ask-prompts", "ask-demonstrations"},
    "datasets": {"datasets", "dataset", "freeze"},
    "jobs": {"jobs", "job", "job-new"},
    "models": {"models", "model", "model-register"},
}


@register.simple_tag(takes_context=True)
def current(context: template.Context, *entries: str) -> SafeString | str:
    """The attribute that marks a link as the way to this page, where one of these entries is."""
    match = context["request"].resolver_match
    names = set().union(*(PAGES.get(entry, {entry}) for entry in entries))
    return mark_safe('aria-current="page"') if match and match.url_name in names else ""
