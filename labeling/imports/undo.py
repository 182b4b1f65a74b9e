"""Undo an import: all that it brought goes, while nobody has judged or frozen any of it.

A job does it. `hide` takes the import out of sight in one transaction, which locks its tasks before
it looks at their places, as every action of the queue does: a claim either comes first, and the
import stays, or it finds no place any more. Then `remove` deletes what nothing else refers to, in
batches. Done again after a kill, it goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from labeling.imports.reading import chunks
from labeling.models import (
    Assignment,
    Candidate,
    DatasetRanking,
    Demonstration,
    ImportedRow,
    Prompt,
    Ranking,
    RankingTask,
    Review,
    Thread,
    Writing,
)
from labeling.queue import order
from modelops import datasets, jobs, rows
from modelops.models import Dataset, Job
from people import audit
from people.access import Refused
from people.models import Project, User

BATCH = 500  # rows that are locked and deleted in one transaction
READERS = (Job.Kind.IMPORT, Job.Kind.SAMPLE, Job.Kind.FREEZE)  # they read prompts and judgments
# In the result of the import's job: the job that undoes it, and whether its rows are being deleted.
UNDONE_BY, REMOVED = "undone_by", "removed"
Beat = Callable[[int, int], None]


@dataclass(frozen=True)
class Brought:
    """How much of an import would go, and which of its prompts stay."""

    prompts: int
    kept_prompts: int
    answers: int
    demonstrations: int
    tasks: int
    rankings: int
    drafts: int  # of labelers who gave their place back, or whose time ran out

    @property
    def rows(self) -> int:
        """The rows that are deleted, for the progress."""
        return self.prompts + self.answers + self.demonstrations + self.tasks

    def without(self, left: Brought) -> Brought:
        """What went, where this was there before and `left` is there afterwards."""
        prompts = self.prompts + self.kept_prompts
        kept = left.prompts + left.kept_prompts
        others = ("answers", "demonstrations", "tasks", "rankings", "drafts")
        gone = {name: getattr(self, name) - getattr(left, name) for name in others}
        return Brought(prompts=prompts - kept, kept_prompts=kept, **gone)


def of_project(project: Project) -> QuerySet[Job]:
    """The imports that can be undone, as far as their jobs tell."""
    done = Job.objects.filter(project=project, kind=Job.Kind.IMPORT, state=Job.State.DONE)
    # imports of earlier versions have no such setting
    return done.filter(Q(recipe__dry_run=False) | Q(recipe__dry_run__isnull=True))


def foresee(imported: Job) -> Brought:
    """Count what would go."""
    prompts = Prompt.objects.filter(job=imported)
    kept = prompts.filter(_used_besides(imported)).count()
    unfinished = Assignment.objects.filter(task__job=imported, draft_at__isnull=False)
    return Brought(
        prompts=prompts.count() - kept,
        kept_prompts=kept,
        answers=Candidate.objects.filter(job=imported).count(),
        demonstrations=Demonstration.objects.filter(job=imported).count(),
        tasks=RankingTask.objects.filter(job=imported).count(),
        rankings=Ranking.objects.filter(task__job=imported).count(),
        drafts=unfinished.count(),
    )


def _used_besides(imported: Job) -> Q:
    """The condition of a prompt that another import, a sampling or a writer works on too."""
    of_prompt = {"prompt": OuterRef("pk")}
    used = Q(Exists(Writing.objects.filter(**of_prompt)))
    for model in (Candidate, Demonstration, RankingTask):
        used |= Q(Exists(model.objects.filter(**of_prompt).exclude(job=imported)))
    return used


def request(actor: User, project: Project, imported: Job) -> Job:
    """The job that undoes this import. Raises Refused where it can't be undone."""
    refuse(imported)
    waiting = Job.objects.filter(
        kind=Job.Kind.UNDO,
        project=project,
        recipe__import_job=imported.pk,
        state__in=[Job.State.QUEUED, Job.State.RUNNING],
    )
    if job := waiting.first():
        raise Refused(_("Job %(job)d undoes this import already.") % {"job": job.pk})
    return jobs.request(actor, project, Job.Kind.UNDO, {"import_job": imported.pk})


# Whether it may be undone


def refuse(imported: Job) -> None:
    """Raises Refused where somebody has worked with what the import brought, or a job reads it."""
    if by := imported.result.get(UNDONE_BY):
        raise Refused(_("Job %(job)d has undone this import, or was to do so.") % {"job": by})
    if reason := _work_on(imported):
        raise Refused(reason)
    refuse_while_read(imported)


def _work_on(imported: Job) -> str:
    """Why people's work or a dataset keeps the import; "" where nothing does."""
    tasks = RankingTask.objects.filter(job=imported)
    if tasks.filter(_judged()).exists():
        return _("One of its tasks was judged here: the import can't be undone.")
    if tasks.filter(_held()).exists():
        return _("Somebody is at one of its tasks: the import can't be undone now.")
    if tasks.filter(_talked_about()).exists():
        return _("Somebody has said something about one of its tasks: it can't be undone.")
    frozen = Dataset.objects.filter(
        Exists(DatasetRanking.objects.filter(dataset=OuterRef("pk"), ranking__task__job=imported))
    )
    if dataset := frozen.first():
        return _frozen_in(dataset)
    return ""


def _frozen_in(dataset: Dataset) -> str:
    return _("Dataset %(short)s holds some of it: the import can't be undone.") % {
        "short": dataset.short
    }


def _judged() -> Exists:
    """Judged here, also where that was undone: gold and adjudicated tasks count too."""
    rankings = Ranking.objects.filter(task=OuterRef("pk"))
    return Exists(rankings.exclude(kind=Ranking.Kind.IMPORTED))


def _held() -> Exists:
    places = Assignment.objects.filter(task=OuterRef("pk"))
    return Exists(places.filter(state__in=Assignment.HOLDING))


def _talked_about() -> Q:
    threads = Thread.objects.filter(task=OuterRef("pk"))
    reviews = Review.objects.filter(ranking__task=OuterRef("pk"))
    return Q(Exists(threads)) | Q(Exists(reviews))


def refuse_while_read(imported: Job) -> None:
    """Raises Refused while a job runs that may have read what the import brought."""
    running = Job.objects.filter(
        project=imported.project_id, state=Job.State.RUNNING, kind__in=READERS
    )
    if job := running.first():
        raise Refused(
            _("Job %(job)d (%(kind)s) may be reading what the import brought: wait until it ends.")
            % {"job": job.pk, "kind": job.get_kind_display()}
        )


def refuse_frozen_prompts(imported: Job, since: datetime, beat: Beat) -> None:
    """Raises Refused where a dataset that was frozen since then holds its prompts.

    Datasets of demonstrations, prompts and texts name their prompts in their rows only.
    """
    frozen = Dataset.objects.filter(
        project=imported.project_id, job__isnull=False, withdrawn_at=None, created_at__gte=since
    )
    for dataset in frozen.exclude(kind=Dataset.Kind.JUDGMENTS).order_by("pk"):
        digests = (row.get("prompt_id", "") for row in rows.read(datasets.path(dataset)))
        for some in chunks(digests, BATCH):
            beat(0, 0)
            if _brought(imported).filter(digest__in=some).exists():
                raise Refused(_frozen_in(dataset))


def _brought(imported: Job) -> QuerySet[Prompt]:
    """The prompts that it added, and those that it added a demonstration to."""
    shown = Demonstration.objects.filter(prompt=OuterRef("pk"), job=imported)
    prompts = Prompt.objects.filter(project=imported.project_id)
    return prompts.filter(Q(job=imported) | Q(Exists(shown)))


# Undoing it


def run(job: Job, beat: Beat = lambda done, total: None) -> Brought:
    """Run a job that undoes an import. Raises Refused, with everything as it was."""
    imported = Job.objects.get(pk=job.recipe["import_job"], project=job.project_id)
    if imported.result.get(UNDONE_BY) != job.pk:
        refuse(imported)
        refuse_frozen_prompts(imported, imported.created_at, beat)
        job.result = vars(hide(imported, job))
        imported.refresh_from_db()
    if REMOVED not in imported.result:
        _refuse_late_readers(imported, job, beat)
        _note(imported, {REMOVED: True})
    brought, done = Brought(**job.result), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        beat(min(done, brought.rows), brought.rows)

    remove(imported.project, imported.pk, advance)
    with transaction.atomic():
        show(imported)  # what somebody has worked on since it was hidden
        gone = brought.without(foresee(imported))
        audit.record(job.requested_by, "undo import", imported, imported.project, **vars(gone))
    return gone


@transaction.atomic
def hide(imported: Job, by: Job) -> Brought:
    """Take it out of sight, all of it at once. Raises Refused if somebody was quicker."""
    imported = Job.objects.select_for_update(no_key=True).get(pk=imported.pk)
    tasks = RankingTask.objects.filter(job=imported)
    _lock(tasks)
    refuse(imported)
    brought = foresee(imported)
    tasks.update(free_places=0, sort_key=None)
    _imported_rankings(imported).update(current=False)
    ImportedRow.objects.filter(job=imported).update(published=False)
    Prompt.objects.filter(job=imported).exclude(_used_besides(imported)).update(published=False)
    _note(imported, {UNDONE_BY: by.pk})
    Job.objects.filter(pk=by.pk).update(result=vars(brought))
    return brought


def _lock(tasks: QuerySet[RankingTask]) -> None:
    """In the order of their keys, as an erasure does; their keys never fill the memory."""
    last = 0
    locked = tasks.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True)
    while pks := list(locked.filter(pk__gt=last)[:BATCH]):
        last = pks[-1]


def _refuse_late_readers(imported: Job, job: Job, beat: Beat) -> None:
    """A job that began to read before `hide` has ended may freeze or use what is hidden now: then
    all is shown again. One that begins later does not see it.
    """
    try:
        refuse_while_read(imported)
        refuse_frozen_prompts(imported, job.created_at, beat)
        if reason := _work_on(imported):
            raise Refused(reason)
    except (Refused, jobs.Cancelled):
        with transaction.atomic():
            show(imported)
            _note(imported, {}, without=UNDONE_BY)
        raise


@transaction.atomic
def show(imported: Job) -> None:
    """Publish what is left of a hidden import again."""
    open_to_all = RankingTask.objects.filter(
        job=imported, row=None, purpose=RankingTask.Purpose.TRAINING
    )
    open_to_all.update(free_places=F("overlap"))
    order.line_up(open_to_all.filter(state=RankingTask.State.OPEN))
    _imported_rankings(imported).update(current=True)
    ImportedRow.objects.filter(job=imported).update(published=True)
    Prompt.objects.filter(job=imported, published=False).update(published=True)


def _imported_rankings(imported: Job) -> QuerySet[Ranking]:
    return Ranking.objects.filter(task__job=imported, kind=Ranking.Kind.IMPORTED, undone_at=None)


@transaction.atomic
def _note(imported: Job, facts: dict, without: str = "") -> None:
    """Keep in the result of the import's job how far its undoing is."""
    job = Job.objects.select_for_update(no_key=True).get(pk=imported.pk)
    kept = {name: value for name, value in job.result.items() if name != without}
    Job.objects.filter(pk=job.pk).update(result=kept | facts)


# Deleting what is hidden


def remove(project: Project, job: int | None, advance: Callable[[int], None]) -> None:
    """Delete the hidden rows of an import, but for those that something else refers to."""
    of_prompts = Prompt.objects.filter(project=project, job=job, published=False)
    if job is not None:
        worked_on = _judged() | _held() | _talked_about() | _frozen()
        _delete(RankingTask.objects.filter(job=job), ~Q(worked_on), advance)
        _delete(Candidate.objects.filter(job=job), Q(tasks=None), advance)
        _delete(Demonstration.objects.filter(job=job), Q(), advance)
        _delete(ImportedRow.objects.filter(job=job), Q(tasks=None), lambda count: None)
    unused = Q(candidates=None, demonstrations=None, tasks=None, writings=None)
    _delete(of_prompts, unused, advance)


def _frozen() -> Exists:
    return Exists(DatasetRanking.objects.filter(ranking__task=OuterRef("pk")))


def _delete(listed: QuerySet, unused: Q, advance: Callable[[int], None]) -> None:
    """Delete in batches. Rows are locked before it is asked what refers to them."""
    last, pks = 0, [0]
    locked = listed.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True)
    while pks:
        with transaction.atomic():
            pks = list(locked.filter(pk__gt=last)[:BATCH])
            listed.model.objects.filter(unused, pk__in=pks).delete()
        last = pks[-1] if pks else last
        advance(len(pks))
