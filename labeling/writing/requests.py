"""Demonstrations and prompts that an admin asks labelers to write."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Count, Q

from labeling.models import Prompt, Writing
from people import audit
from people.models import Project, User

Kind, State = Writing.Kind, Writing.State
AT_ONCE = 500  # texts asked for by one form


@transaction.atomic
def ask_demonstrations(
    actor: User, project: Project, count: int, split: str, from_best: bool = False
) -> int:
    """Wish for the ideal answer to `count` more prompts of the split that have none yet; returns
    how many there were.
    """
    wanted = Prompt.objects.filter(
        project=project, published=True, split=split, demonstrations=None
    )
    wanted = wanted.exclude(Q(writings__state__in=Writing.PENDING)).order_by("pk")[
        : min(count, AT_ONCE)
    ]
    asked = Writing.objects.bulk_create(
        Writing(project=project, kind=Kind.DEMONSTRATION, prompt=prompt, from_best=from_best)
        for prompt in wanted
    )
    audit.record(actor, "ask for demonstrations", project, project, count=len(asked), split=split)
    return len(asked)


@transaction.atomic
def ask_prompts(actor: User, project: Project, count: int, brief: str) -> int:
    """Wish for `count` new prompts; `brief` says what about."""
    asked = Writing.objects.bulk_create(
        Writing(project=project, kind=Kind.PROMPT, brief=brief)
        for _number in range(min(count, AT_ONCE))
    )
    audit.record(actor, "ask for prompts", project, project, count=len(asked))
    return len(asked)


@transaction.atomic
def withdraw(actor: User, project: Project) -> int:
    """Take back every wish that nobody has begun on."""
    count, _by_model = Writing.objects.filter(project=project, state=State.OPEN).delete()
    audit.record(actor, "withdraw wishes", project, project, count=count)
    return count


def counts(project: Project) -> dict[str, dict[str, int]]:
    """By kind, how many texts are wanted, being written, under review and accepted."""
    counted = (
        Writing.objects.filter(project=project).values_list("kind", "state").annotate(n=Count("pk"))
    )
    numbers = {(kind, state): n for kind, state, n in counted}
    shown = (State.OPEN, State.WRITING, State.SUBMITTED, State.ACCEPTED)
    return {
        kind: {state.value: numbers.get((kind, state), 0) for state in shown}
        for kind in Kind.values
    }
