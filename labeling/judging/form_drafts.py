"""Drafts of the ranking form where it is nobody's place: an answer key, an adjudication. A
labeler's are in Assignment.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.timezone import now

from labeling.models import FormDraft, Ranking, RankingTask
from people.models import User


def save(task: RankingTask, person: User, kind: str, typed: dict[str, Any]) -> None:
    """Keep what this person has typed so far."""
    FormDraft.objects.update_or_create(
        {"draft": typed, "saved_at": now()}, task=task, person=person, kind=kind
    )


def newer_than(
    ranking: Ranking | None, task: RankingTask, person: User, kind: str
) -> dict[str, Any] | None:
    """What this person has typed since `ranking` was saved by anybody, or at all where there is
    none.
    """
    drafts = _of(task, person, kind)
    drafts = drafts.filter(saved_at__gt=ranking.created_at) if ranking else drafts
    return drafts.values_list("draft", flat=True).first()


def discard(task: RankingTask, person: User, kind: str) -> None:
    _of(task, person, kind).delete()


def _of(task: RankingTask, person: User, kind: str) -> QuerySet[FormDraft]:
    return FormDraft.objects.filter(task=task, person=person, kind=kind)
