"""Blindness: who has seen what others decided or said about a task gets no place on it any more.

The claim asks for it (`claims._unseen`), and so does the writing of a ranking, which is *prompted*
where its labeler had seen something. What a person decided themselves is no reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labeling.models import Ranking, Seen
from modelops.models import Dataset
from people.models import User

BATCH = 500


def note(person: User, tasks: Iterable[int]) -> None:
    """Record that this person has seen what others say of these tasks. Twice is harmless.

    Whoever holds a place on one keeps it.
    """
    wanted = set(tasks)
    known = Seen.objects.filter(person=person, task__in=wanted).values_list("task", flat=True)
    unknown = sorted(wanted.difference(known)) if wanted else []
    if unknown:  # a page that is read again writes nothing
        rows = [Seen(task_id=task, person=person) for task in unknown]
        Seen.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)


def note_rankings(person: User, rankings: Iterable[Ranking]) -> None:
    """Record that this person is shown these rankings; their own tell them nothing new."""
    note(person, (ranking.task_id for ranking in rankings if ranking.labeler_id != person.pk))


def note_rows(person: User, dataset: Dataset, rows: Iterable[dict[str, Any]]) -> None:
    """Record that this person is shown these frozen rows: one query finds the rankings behind
    them.
    """
    prompts = [row["prompt_id"] for row in rows if row.get("judgments")]
    if prompts:
        behind = Ranking.objects.filter(
            task__project=dataset.project_id,
            task__prompt__digest__in=prompts,
            datasets__dataset=dataset,
        )
        note_rankings(person, behind.only("task", "labeler"))
