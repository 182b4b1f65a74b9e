"""The table is the queue: request a job, claim it, beat while it runs, and end it in exactly one
way.

A message only says "look at queue Q"; it may be lost or come twice. Which worker runs a job is
decided by one conditional UPDATE, and every later write of that worker is conditional on its claim,
so that a worker that was taken for dead can not write over the one that took over.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

from celery import current_app
from django.conf import settings
from django.db import close_old_connections, connection, transaction
from django.db.models import F, Q, QuerySet
from kombu.exceptions import OperationalError as BrokerError

from modelops import recipes
from modelops.kinds import KINDS, QUEUES
from modelops.models import Job, LogLine, Metric
from people import audit, faults
from people.db import clock
from people.db.clock import now
from people.models import Project, User, Webhook
from people.webhooks import registry

log = logging.getLogger(__name__)
State = Job.State
ATTEMPTS = 3
LOG_LINES = 2000
WAITING = "waiting for a device"


class LostClaim(Exception):
    """Another worker took this job over; write nothing more."""


class Cancelled(Exception):
    """A person asked for this job to stop."""


class Interrupted(Exception):
    """This worker was told to end; the job goes back to the queue and counts no attempt."""


class JobFailed(Exception):
    """The job can't go on; the text says what to do."""


class Crashed(Exception):
    """What did the work died in the middle of it; the job is tried again, up to ATTEMPTS times."""


# Asking for work


@transaction.atomic
def request(
    actor: User | None, project: Project | None, kind: str, settings_: dict | None = None, **links
) -> Job:
    """Insert a job and, after commit, wake its queue. `links`: model_version, dataset,
    reward_model, rehearsal, after, priority.

    Raises recipes.InvalidRecipe when a setting is wrong.
    """
    recipe = recipes.read(kind, settings_ or {})
    job = Job.objects.create(
        project=project, kind=kind, recipe=vars(recipe), requested_by=actor, **links
    )
    audit.record(actor, f"request {kind}", job, project)
    wake(KINDS[kind].queue)
    return job


def latest(kind: str, recipe: Any, **links) -> Job | None:
    """The job of this kind, recipe and `links` that waits or runs; else the last that did."""
    defaults = vars(type(recipe)())  # an older job may lack a setting
    same = [
        job
        for job in Job.objects.filter(kind=kind, **links).order_by("-pk")
        if defaults | job.recipe == vars(recipe)
    ]
    return next((job for job in same if job.live), next(iter(same), None))


def wake(queue: str) -> None:
    """After commit, tell the workers of `queue` to look at the table. A lost message is made up for
    by the sweep.
    """
    transaction.on_commit(lambda: _send(queue))


def _send(queue: str) -> None:
    try:
        current_app.send_task(f"{queue}.work", queue=queue, expires=60, retry=False)
    except (BrokerError, OSError) as error:
        log.warning("broker not reached, the next sweep wakes %s: %s", queue, error)


# Taking work


def _free() -> Q:
    silent = now() - timedelta(seconds=settings.SILENT_SECONDS)
    return Q(state=State.QUEUED) | Q(state=State.RUNNING, heartbeat_at__lt=silent)


def runnable(kinds: Collection[str]) -> QuerySet[Job]:
    """Jobs that a worker may take: queued ones whose predecessor is done, and running ones gone
    silent.
    """
    return Job.objects.filter(_free(), Q(after=None) | Q(after__state=State.DONE), kind__in=kinds)


def next_runnable(kinds: Collection[str]) -> QuerySet[Job]:
    """The first few runnable jobs, in the order in which they are to be taken."""
    return runnable(kinds).order_by("priority", "pk")[:10]


def claim_next(kinds: Collection[str], only: int | None = None, devices: str = "") -> Job | None:
    """Take the first runnable job, or `only` this one, or None. The job then computes on `devices`.

    At most one caller wins each; the third silent attempt fails the job.
    """
    for pk in [job.pk for job in next_runnable(kinds)] if only is None else [only]:
        job = claim(pk, kinds, devices)
        if job is None:
            continue
        if job.attempts > ATTEMPTS:
            end(
                job,
                State.FAILED,
                error=(
                    f"The worker died {ATTEMPTS} times at this job. Look at its log, then resume."
                ),
            )
            continue
        if job.cancel_requested:
            end(job, State.CANCELLED)
            continue
        return job
    return None


def claim(pk: int, kinds: Collection[str], devices: str = "") -> Job | None:
    """Take this job if it is runnable; None when somebody else was first."""
    token, host = uuid4(), socket.gethostname()
    # PostgreSQL rechecks only the conditions on the row itself when another claim was first, not
    # those of the subquery, so the row's own state and heartbeat are asked for once more.
    still_free = Job.objects.filter(_free(), pk__in=runnable(kinds).filter(pk=pk).values("pk"))
    fields = {
        "state": State.RUNNING,
        "claim": token,
        "heartbeat_at": now(),
        "started_at": now(),
        "machine": host,
    }
    fields["devices"] = devices
    if not still_free.update(attempts=F("attempts") + 1, started_from=F("done"), note="", **fields):
        return None
    return (
        Job.objects.select_related("project", "model_version", "dataset")
        .filter(pk=pk, claim=token)
        .first()
    )


def owned(job: Job) -> QuerySet[Job]:
    return Job.objects.filter(pk=job.pk, claim=job.claim, state=State.RUNNING)


# While it runs


def beat(
    job: Job, done: int | None = None, total: int | None = None, note: str | None = None
) -> None:
    """Say that the job is alive and how far it is. Raises LostClaim, Cancelled or Interrupted when
    it must stop.
    """
    fields = {"done": done, "total": total, "note": note}
    fields = {name: value for name, value in fields.items() if value is not None}
    if not owned(job).update(heartbeat_at=now(), **fields):
        raise LostClaim
    if Job.objects.filter(pk=job.pk, cancel_requested=True).exists():
        raise Cancelled
    if stopping.is_set():
        raise Interrupted


def write_log(job: Job, lines: list[str]) -> None:
    """Append lines to the job's log and forget all but the newest."""
    LogLine.objects.bulk_create(
        LogLine(job=job, text=line[:2000].replace("\0", "")) for line in lines
    )
    oldest = (
        LogLine.objects.filter(job=job)
        .order_by("-pk")
        .values_list("pk", flat=True)[LOG_LINES : LOG_LINES + 1]
    )
    for pk in oldest:
        LogLine.objects.filter(job=job, pk__lte=pk).delete()


@transaction.atomic
def write_metrics(job: Job, metrics: list[Metric]) -> None:
    """Keep figures; one that is reported again, after a resume or at once, replaces the old."""
    newest = {(metric.name, metric.slice, metric.step): metric for metric in metrics}.values()
    final = [metric for metric in newest if metric.step is None]
    if final:  # their constraint is conditional, and no upsert can name it
        Job.objects.select_for_update().get(pk=job.pk)  # two writers take turns
    for metric in final:
        Metric.objects.filter(job=job, name=metric.name, slice=metric.slice, step=None).delete()
    Metric.objects.bulk_create(final, batch_size=500)
    Metric.objects.bulk_create(
        [metric for metric in newest if metric.step is not None],
        batch_size=500,
        update_conflicts=True,
        unique_fields=["job", "name", "slice", "step"],
        update_fields=["value", "low", "high", "n", "method"],
    )


stopping = threading.Event()  # set when this worker process is told to end


@contextmanager
def running(job: Job) -> Iterator[Job]:
    """Run the body under a heartbeat thread; the job then ends done, failed, cancelled or back in
    the queue.
    """
    quiet = threading.Event()
    pulse = threading.Thread(target=_pulse, args=(job, quiet), daemon=True)
    pulse.start()
    try:
        yield
        end(job, State.DONE)
    except LostClaim:
        log.warning("%s was taken over by another worker", job)
    except Cancelled:
        end(job, State.CANCELLED)
    except Interrupted:
        give_back(job)
    except Crashed as error:
        retry(job, str(error))
    except JobFailed as error:
        end(job, State.FAILED, error=str(error))
    except Exception as error:
        log.exception("%s failed", job)
        text = f"{type(error).__name__}: {error}"
        end(job, State.FAILED, error=faults.DISK_FULL if faults.disk_is_full(error) else text)
    finally:
        quiet.set()
        pulse.join()
        wake(KINDS[job.kind].queue)


@contextmanager
def inline(
    actor: User | None, project: Project | None, kind: str, settings_: dict
) -> Iterator[Job]:
    """A job that this process runs itself, here and now. Raises JobFailed unless it ends done."""
    with transaction.atomic():  # no worker sees it before it is ours
        job = claim(request(actor, project, kind, settings_).pk, {kind})
    with running(job):
        yield job
    job.refresh_from_db()
    if job.state != State.DONE:
        raise JobFailed(job.error or job.get_state_display())


def _pulse(job: Job, quiet: threading.Event) -> None:
    while not quiet.wait(settings.BEAT_SECONDS):
        try:
            if (
                stopping.is_set()
            ):  # the body may be deep in one long step of a model, and has seconds to live
                give_back(job)
                break
            clock.read()
            owned(job).update(heartbeat_at=now())
        except Exception as error:  # a database out of reach now may be back at the next beat
            log.warning("heartbeat of %s not written: %s", job, error)
            close_old_connections()
    connection.close()


# Ending


@transaction.atomic
def end(job: Job, state: State, error: str = "") -> None:
    """Write how the job ended, if it is still ours, and wake the queues of the jobs that follow a
    finished one.
    """
    if not owned(job).update(
        state=state, error=error, finished_at=now(), note="", result=job.result, attempts=0
    ):
        return
    audit.record(
        None, f"job {state}", job, job.project, **({"error": error[:500]} if error else {})
    )
    _emit_finished(job, state)
    if state == State.DONE:
        for kind in Job.objects.filter(after=job, state=State.QUEUED).values_list(
            "kind", flat=True
        ):
            wake(KINDS[kind].queue)


def _emit_finished(job: Job, state: State) -> None:
    project = Project.objects.get(pk=job.project_id)  # as it is now: the job may have run for hours
    registry.emit(
        project,
        Webhook.Event.JOB_FINISHED,
        f"jobs/{job.pk}",
        job=job.pk,
        kind=job.kind,
        state=state,
    )


def retry(job: Job, error: str) -> None:
    """Back to the queue after a crash; the last of ATTEMPTS fails the job with what is known."""
    if job.attempts >= ATTEMPTS:
        end(job, State.FAILED, error=error)
        return
    write_log(job, [error, f"Trying again: attempt {job.attempts + 1} of {ATTEMPTS}."])
    owned(job).update(state=State.QUEUED, claim=None, heartbeat_at=None)


def give_back(job: Job) -> None:
    """Back to the queue as if it had not been taken."""
    owned(job).update(state=State.QUEUED, claim=None, heartbeat_at=None, attempts=F("attempts") - 1)


@transaction.atomic
def cancel(actor: User, job: Job) -> None:
    """Stop a job: at once when it waits, at its next beat when it runs. Cancelling twice is
    harmless.
    """
    this = Job.objects.filter(pk=job.pk)
    stopped = this.filter(state=State.QUEUED).update(state=State.CANCELLED, finished_at=now())
    if stopped or this.filter(state=State.RUNNING, cancel_requested=False).update(
        cancel_requested=True
    ):
        audit.record(actor, "cancel", job, job.project)
    if stopped:
        _emit_finished(job, State.CANCELLED)


@transaction.atomic
def resume(actor: User, job: Job) -> None:
    """Queue a failed or cancelled job again; it goes on from what it had finished."""
    fresh = {
        "error": "",
        "cancel_requested": False,
        "finished_at": None,
        "claim": None,
        "heartbeat_at": None,
    }
    resumable = Job.objects.filter(pk=job.pk, state__in=[State.FAILED, State.CANCELLED])
    if resumable.update(state=State.QUEUED, attempts=0, **fresh):
        audit.record(actor, "resume", job, job.project)
        wake(KINDS[job.kind].queue)


# The sweep


def wake_waiting() -> None:
    """Wake every queue that holds a runnable job."""
    for queue, kinds in QUEUES.items():
        if runnable(kinds).exists():
            wake(queue)


def note_waiting(kinds: Collection[str]) -> None:
    """Mark the jobs that wait until the torch processes of a host leave them a device."""
    Job.objects.filter(kind__in=kinds, state=State.QUEUED, note="").update(note=WAITING)


def note(job: Job, text: str) -> None:
    """Say on a job that waits what it waits for."""
    Job.objects.filter(pk=job.pk, state=State.QUEUED).exclude(note=text).update(note=text)
