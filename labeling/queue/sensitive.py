"""Sensitive prompts: their tasks are kept from labelers who are not willing to judge them."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Min

from labeling.models import Prompt
from labeling.queue.order import key, look_again
from people import audit
from people.models import User


@transaction.atomic
def mark_sensitive(actor: User, prompt: Prompt, sensitive: bool) -> None:
    """Keep the prompt's tasks from people who are not willing to judge such content, or offer them
    to all again.

    Whoever holds one keeps it. Twice is harmless.
    """
    if not Prompt.objects.filter(pk=prompt.pk, sensitive=not sensitive).update(sensitive=sensitive):
        return
    audit.record(actor, "mark sensitive" if sensitive else "mark harmless", prompt, prompt.project)
    first = prompt.tasks.aggregate(first=Min(key(prompt.project)))["first"]
    if not sensitive and first is not None:
        look_again(prompt.project_id, first)
