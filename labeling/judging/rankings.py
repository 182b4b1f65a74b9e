"""What a labeler decided: submitted once, revised, and undone for a while."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, QuerySet, Subquery
from django.utils.timezone import now
from django.utils.translation import gettext as _

from labeling.judging import events
from labeling.judging.judgment import MOST, Judgment, by_strength, check
from labeling.judging.scores import scores_of, spans_of
from labeling.models import (
    Assignment,
    DatasetRanking,
    RankedCandidate,
    Ranking,
    RankingTask,
    Seen,
)
from labeling.queue import claims, leases
from labeling.queue.eligibility import NotWorking
from people import audit, metrics
from people.access import Refused
from people.db.compiled import compiled, insert, insert_all, update
from people.db.transactions import in_transaction
from people.models import Project, User

UNDO = timedelta(minutes=10)
LONGEST_SITTING = 4 * 60 * 60  # seconds; a browser that reports more was asleep


class AlreadySubmitted(Exception):
    """There is a ranking for this place already."""

    def __init__(self):
        super().__init__(_("This task was already submitted: undo or revise its ranking."))


class NothingToRevise(Exception):
    """There is no ranking for this place: it was undone, or never made."""

    def __init__(self):
        super().__init__(_("This ranking is not current: it was undone, or there is a later one."))


class TooLate(Exception):
    """It can't be undone any more; the text says why."""


@in_transaction
def submit(assignment: Assignment, judgment: Judgment, draft: dict | None = None) -> Ranking:
    """Record what the labeler decided; nothing is half written. After an undo the `draft` is shown
    again.

    Raises InvalidRanking, AlreadySubmitted, or claims.LeaseLost when the place went to someone
    else.
    """
    ranks = check(judgment, len(assignment.order), assignment.project)
    events.take_turns(assignment)
    if not _hand_in(assignment, draft):
        assignment = _locked(assignment)
        if assignment.state == Assignment.State.SUBMITTED:
            raise AlreadySubmitted
        claims.reclaim(assignment)
        _hand_in(assignment, draft)
    ranking = _write("rank", assignment, judgment, ranks)
    events.submitted(assignment.project, ranking)
    events.if_complete(assignment)
    transaction.on_commit(metrics.rankings_submitted.inc)
    return ranking


def _hand_in(assignment: Assignment, draft: dict | None) -> bool:
    """Of several copies of a form, one finds the place still leased; the others wait for it."""
    return bool(
        _to_submitted(assignment.pk, now())
        if draft is None
        else _typed_to_submitted(assignment.pk, now(), draft)
    )


@compiled
def _to_submitted(assignment: int, at: datetime):
    return update(
        _leased(assignment), state=Assignment.State.SUBMITTED, leased_until=None, ended_at=at
    )


@compiled
def _typed_to_submitted(assignment: int, at: datetime, draft: dict):
    typed = {"draft": draft, "draft_at": at}
    return update(
        _leased(assignment),
        state=Assignment.State.SUBMITTED,
        leased_until=None,
        ended_at=at,
        **typed,
    )


def _leased(assignment: int) -> QuerySet[Assignment]:
    return Assignment.objects.filter(pk=assignment, state=Assignment.State.LEASED)


@transaction.atomic
def revise(assignment: Assignment, judgment: Judgment) -> Ranking:
    """Record a second thought as a new row; the earlier ones stay, and datasets frozen from them.

    Raises InvalidRanking, or NothingToRevise when the place has no ranking now.
    """
    ranks = check(judgment, len(assignment.order), assignment.project)
    assignment = _locked(assignment)
    if not assignment.rankings.filter(current=True).exists():
        raise NothingToRevise
    ranking = _write("revise", assignment, judgment, ranks)
    events.submitted(assignment.project, ranking)
    return ranking


def save_revision_draft(assignment: Assignment, draft: dict) -> bool:
    """Keep what is typed of a second thought; False when the place has no ranking now."""
    submitted = Assignment.objects.filter(pk=assignment.pk, state=Assignment.State.SUBMITTED)
    return bool(submitted.update(draft=draft, draft_at=now()))


def in_letters(ranking: Ranking, letter_of: Callable[[RankedCandidate], str]) -> str:
    """A ranking in letters, best first: "A > B = C"; its outcome where nothing was ranked."""
    if ranking.outcome != Ranking.Outcome.RANKED:
        return ranking.get_outcome_display().capitalize()
    tiers: dict[int, list[str]] = {}
    for answer in ranking.ranked.all():
        tiers.setdefault(answer.rank, []).append(letter_of(answer).upper())
    return " > ".join(" = ".join(sorted(tiers[rank])) for rank in sorted(tiers))


def sheet(task: RankingTask, person: User) -> Assignment:
    """The ranking form for who says more than a judgment: answers as they were made. Nobody's
    place, and never stored.

    Raises Refused for a list of answers that was judged elsewhere and is too long for the form.
    """
    answers = list(task.candidates.order_by("slot", "pk").values_list("pk", flat=True))
    if len(answers) > MOST:
        raise Refused(
            _("Only a task of at most %(most)d answers can be ranked here.") % {"most": MOST}
        )
    return Assignment(task=task, project=task.project, labeler=person, order=answers)


def _locked(assignment: Assignment) -> Assignment:
    locked = Assignment.objects.select_for_update().get(pk=assignment.pk)
    locked.project, locked.labeler = assignment.project, assignment.labeler
    return locked


def _write(
    verb: str, assignment: Assignment, judgment: Judgment, ranks: list[int | None]
) -> Ranking:
    labeler = assignment.labeler
    return write(
        labeler,
        verb,
        assignment,
        judgment,
        ranks,
        judge=labeler.uuid,
        kind=Ranking.Kind.SIMULATED if labeler.simulated else Ranking.Kind.LABELER,
        labeler=labeler,
        assignment=assignment,
    )


def write(
    actor: User,
    verb: str,
    sheet: Assignment,
    judgment: Judgment,
    ranks: list[int | None],
    judge: UUID,
    thing: RankingTask | None = None,
    **who,
) -> Ranking:
    """One more revision of what this judge says of the task, its answers in the sheet's order. The
    audit log says that the actor did `verb` to `thing`, or else to the ranking.

    Raises InvalidRanking where a span lies outside of its answer. A person's is prompted where
    they have seen what others say of the task.
    """
    [(last_revision, has_seen)] = _so_far(sheet.task_id, judge, sheet.labeler_id)
    if last_revision:
        Ranking.objects.filter(task=sheet.task_id, judge=judge, current=True).update(current=False)
    ranking = Ranking(
        task_id=sheet.task_id,
        judge=judge,
        **who,
        outcome=judgment.outcome,
        revision=(last_revision or 0) + 1,
        prompted=has_seen and judge == sheet.labeler.uuid,
        labels=judgment.labels,
        note=judgment.note,
        strength=judgment.strength if ranks[0] and by_strength(sheet.project, len(ranks)) else None,
        seconds=min(judgment.seconds, LONGEST_SITTING),
    )
    insert(ranking)
    ranked = [
        RankedCandidate(ranking=ranking, candidate_id=candidate, shown=shown, rank=rank)
        for shown, (candidate, rank) in enumerate(zip(sheet.order, ranks, strict=True))
    ]
    event = audit.event(actor, verb, thing or ranking, sheet.project, revision=ranking.revision)
    insert_all(
        ranked,
        scores_of(ranking, judgment, sheet),
        spans_of(ranking, judgment, sheet),
        [event],
    )
    return ranking


@compiled
def _so_far(task: int, judge: UUID, person: int):
    """The judge's last revision, if any, and whether the person has seen what others say."""
    earlier = Ranking.objects.filter(task=task, judge=judge).order_by("-revision")
    seen = Seen.objects.filter(task=task, person=person)
    tasks = RankingTask.objects.filter(pk=task)
    return tasks.values_list(Subquery(earlier.values("revision")[:1]), Exists(seen))


def of_place(assignment: Assignment) -> int | None:
    """The key of the ranking that counts, of those made at this place."""
    return assignment.rankings.filter(current=True).values_list("pk", flat=True).first()


def last_of(project: Project, labeler: User) -> Ranking | None:
    """The labeler's newest ranking here that can still be undone."""
    newest = (
        Ranking.objects.filter(labeler=labeler, task__project=project, current=True)
        .order_by("-pk")
        .first()
    )
    return newest if newest is not None and now() - newest.created_at < UNDO else None


def named_last(project: Project, labeler: User, pk: object) -> Ranking:
    """The labeler's last ranking, by its number, so that asking twice doesn't undo the one before.
    Raises TooLate.
    """
    last = last_of(project, labeler)
    if last is None or str(last.pk) != str(pk):
        raise TooLate(_("There is nothing to undo: the ranking was already undone, or is too old."))
    last.assignment.project = project  # read already, with its rules
    return last


@transaction.atomic
def undo(ranking: Ranking) -> Assignment:
    """Take a submit back: the task is the labeler's again, with the draft as it was. Of a revision,
    the one before counts.

    Raises TooLate after ten minutes, once a dataset holds the ranking, once it was undone, or while
    one is paused.
    """
    assignment = _locked(ranking.assignment)
    if now() - ranking.created_at > UNDO:
        raise TooLate(_("A ranking can be undone for ten minutes."))
    if DatasetRanking.objects.filter(ranking=ranking).exists():
        raise TooLate(_("This ranking is part of a frozen dataset."))
    if not Ranking.objects.filter(pk=ranking.pk, current=True).update(
        current=False, undone_at=now()
    ):
        raise TooLate(_("This ranking was undone already."))
    if not _bring_back(assignment):
        _open_again(assignment)
    audit.record(ranking.labeler, "undo", ranking, assignment.project)
    return assignment


def _open_again(assignment: Assignment) -> None:
    try:
        leases.take_back(assignment)
    except NotWorking as why:
        raise TooLate(str(why)) from why


def _bring_back(assignment: Assignment) -> bool:
    """Let the ranking before the one just undone count again, if there is one."""
    before = (
        assignment.rankings.filter(undone_at=None)
        .order_by("-revision")
        .values_list("pk", flat=True)
        .first()
    )
    return bool(before and Ranking.objects.filter(pk=before).update(current=True))
