"""What leads think of people's rankings. Nothing of it enters a dataset."""

from __future__ import annotations

from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _

from labeling.models import Ranking, Review
from labeling.queue import seen
from labeling.text.conversations import clean
from people import audit
from people.access import Refused
from people.models import User


@transaction.atomic
def review(reviewer: User, ranking: Ranking, verdict: str, comment: str = "") -> Review:
    """Agree, disagree or comment; once more replaces what this lead said before.

    Raises Refused for one's own ranking, for one that does not count now, for an answer key or an
    adjudication, and for a comment without words. What its labeler judges there from now on is
    prompted by it.
    """
    comment = clean(comment)
    if ranking.labeler_id == reviewer.pk:
        raise Refused(_("Someone else has to review what you ranked."))
    if ranking.kind in Ranking.FOR_ALL:
        raise Refused(_("Only what people ranked can be reviewed."))
    if not ranking.current:
        raise Refused(_("This ranking was undone or revised: review the one that counts."))
    if verdict == Review.Verdict.COMMENT and not comment:
        raise Refused(_("Write a comment."), "comment")
    fields = {"verdict": verdict, "comment": comment, "at": now()}
    written, _new = Review.objects.update_or_create(fields, ranking=ranking, reviewer=reviewer)
    seen.note(reviewer, [ranking.task_id])
    if ranking.labeler:
        seen.note(ranking.labeler, [ranking.task_id])
    audit.record(reviewer, "review", ranking, ranking.task.project)
    return written
