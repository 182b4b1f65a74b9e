"""Drafts of the ranking form where it is nobody's place: an answer key, an adjudication. A
labeler's are in Assignment.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.timezone import now

from labeling.judging import form, rankings
from labeling.models import Assignment, FormDraft, Ranking

ANSWERS = "answers"  # of a stored draft: the answers in the order of its letters


def save(paper: Assignment, kind: str, typed: dict[str, Any]) -> None:
    """Keep what this person has typed so far."""
    draft = typed | {ANSWERS: paper.order}
    FormDraft.objects.update_or_create(
        {"draft": draft, "saved_at": now()}, task=paper.task, person=paper.labeler, kind=kind
    )


def newer_than(ranking: Ranking | None, paper: Assignment, kind: str) -> dict[str, Any] | None:
    """What this person has typed since `ranking` was saved by anybody, or at all where there is
    none.
    """
    drafts = _of(paper, kind)
    drafts = drafts.filter(saved_at__gt=ranking.created_at) if ranking else drafts
    draft = drafts.values_list("draft", flat=True).first()
    if draft is None:
        return None
    # an older draft names no answers: its form had them in the order of their slots
    order = draft.pop(ANSWERS, None) or rankings.sheet(paper.task, paper.labeler).order
    return form.relettered(draft, order, paper.order)


def discard(paper: Assignment, kind: str) -> None:
    _of(paper, kind).delete()


def _of(paper: Assignment, kind: str) -> QuerySet[FormDraft]:
    return FormDraft.objects.filter(task=paper.task, person=paper.labeler, kind=kind)
