"""How far the work is: what one person did today, and how much of the project's ranking is done."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.cache import cache
from django.db.models import Avg, Count, Q, Sum
from django.utils.timezone import localtime

from labeling.models import Assignment, RankingTask
from people.db.compiled import compiled
from people.models import Project, User

PROGRESS_SECONDS = 15  # counting a million tasks takes a while, and nobody needs it to the second


def today(labeler: User, project: Project) -> dict[str, Any]:
    """What this person has submitted here since midnight of their own zone, and the seconds that
    one took on average.
    """
    midnight = localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    done = _submitted_since(labeler.pk, project.pk, midnight) or [(0, None)]
    return dict(zip(("today", "pace"), done[0], strict=True))


@compiled
def _submitted_since(labeler: int, project: int, at: datetime):
    own = Assignment.objects.filter(
        labeler=labeler, project=project, state=Assignment.State.SUBMITTED
    )
    own = own.filter(ended_at__gte=at, rankings__current=True).values(
        "labeler"
    )  # one row: each has one that counts
    timed = Q(rankings__seconds__gt=0)
    return own.annotate(n=Count("pk"), pace=Avg("rankings__seconds", filter=timed)).values_list(
        "n", "pace"
    )


def progress(project: Project) -> int | None:
    """Percent of all places that are ranked; None while there are no tasks."""
    return cache.get_or_set(
        f"progress-{project.pk}", lambda: count_progress(project), PROGRESS_SECONDS
    )


def count_progress(project: Project) -> int | None:
    places = RankingTask.objects.filter(project=project, sort_key__isnull=False).aggregate(
        all=Sum("overlap")
    )["all"]
    done = Assignment.objects.filter(
        project=project, state=Assignment.State.SUBMITTED, task__sort_key__isnull=False
    )
    return int(100 * done.count() / places) if places else None
