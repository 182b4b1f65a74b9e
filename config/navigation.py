"""The project's navigation: which pages a role is offered, in groups, and which one is open."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise, SimpleLazyObject
from django.utils.translation import gettext_lazy as _

from people.access import ADMINS, LEADS, RANKERS, READERS


@dataclass(frozen=True)
class Entry:
    """A link to a page. It is also marked as the open one on the pages that are below it."""

    label: str | Promise
    page: str  # the name of its URL, as those in `below`
    roles: tuple[str, ...]
    below: frozenset[str] = frozenset()


def entry(label: str | Promise, page: str, roles: tuple[str, ...], below: str = "") -> Entry:
    return Entry(label, page, roles, frozenset(below.split()))


GROUPS: list[tuple[str | Promise, list[Entry]]] = [
    (
        _("Label"),
        [
            entry(
                _("Rank"), "rank", RANKERS, "history rank-revise rank-keys rank-thread guidelines"
            ),
            entry(_("Write"), "write", RANKERS),
            entry(_("Questions"), "threads", RANKERS, "thread"),
            entry(_("Review"), "reviews", LEADS, "review ask-prompts ask-demonstrations"),
            entry(_("Disagreements"), "disputes", LEADS, "task-settle"),
        ],
    ),
    (
        _("Data"),
        [
            entry(
                _("Prompts"),
                "prompts",
                READERS,
                "prompt prompts-upload prompts-confirm set-aside task-gold templates template",
            ),
            entry(_("Judgments"), "judgments", READERS, "judgment"),
            entry(
                _("Datasets"),
                "datasets",
                READERS,
                "dataset dataset-rows dataset-row dataset-difference freeze",
            ),
        ],
    ),
    (
        _("Models"),
        [
            entry(_("Loop"), "loop", ADMINS),
            entry(_("Jobs"), "jobs", ADMINS, "job job-new"),
            entry(_("Versions"), "models", ADMINS, "model model-register model-serve"),
        ],
    ),
    (
        "",
        [
            entry(_("People"), "members", LEADS, "member-erase"),
            entry(
                _("Settings"),
                "settings",
                ADMINS,
                "webhooks webhook webhook-renew criteria criterion",
            ),
        ],
    ),
]


def navigation(request: HttpRequest) -> dict[str, object]:
    """A context processor: `navigation` holds the groups that the person's role is offered."""
    return {"navigation": SimpleLazyObject(lambda: offered(request))}


def offered(request: HttpRequest) -> list[dict]:
    membership = getattr(request, "membership", None)
    if membership is None:
        return []
    match = request.resolver_match
    current = match.url_name if match else None
    groups = []
    for label, entries in GROUPS:
        links = [
            {
                "label": entry.label,
                "url": reverse(entry.page, args=[request.project.slug]),
                "current": current == entry.page or current in entry.below,
            }
            for entry in entries
            if membership.role in entry.roles
        ]
        if links:
            groups.append({"label": label, "links": links})
    return groups
