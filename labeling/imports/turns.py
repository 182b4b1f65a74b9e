"""Imports into a project take turns: they read and write one after the other.

What an import writes is hidden until all of it is there. Another one would take it for prompts that
the project has, and lose its own if the first one failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from django.db import connection
from django.utils.translation import gettext as _

from modelops import jobs
from modelops.models import Job
from people.access import Refused
from people.db import locks
from people.models import Project

LOOK_EVERY = 1.0  # seconds
PATIENCE = 10  # looks of somebody who waits for the answer to a request
WAITING = "waiting for"  # how the note of a job that waits begins


@contextmanager
def turn(
    project: Project, wait: Callable[[str], None] = lambda why: None, job: Job | None = None
) -> Iterator[None]:
    """Hold the project's turn to import, for `job` if there is one already. `wait` is called with
    what is waited for, again and again, and with "" once that has ended; what it raises ends the
    waiting.

    Raises Refused where another import has the turn and this is in a transaction: the other one may
    be waiting for that.
    """
    with ExitStack() as stack:
        has_waited = False
        while not stack.enter_context(locks.held(f"imports-{project.pk}")):
            other = _writing(project, job)
            if connection.in_atomic_block:
                raise Refused(_busy(other))
            wait(f"{WAITING} import {other.pk}" if other else f"{WAITING} another import")
            has_waited = True
            jobs.stopping.wait(LOOK_EVERY)
        if has_waited:
            wait("")
        yield


def of_job(job: Job) -> Callable[[str], None]:
    """Says on the job's page what it waits for, and can be cancelled: raises what a beat raises."""
    return lambda why: jobs.beat(job, note=why)


def of_request(project: Project) -> Callable[[str], None]:
    """Waits for a few seconds, then raises Refused."""
    looks = 0

    def wait(why: str) -> None:
        nonlocal looks
        looks += 1
        if why and looks > PATIENCE:
            raise Refused(_busy(_writing(project)))

    return wait


def _writing(project: Project, job: Job | None = None) -> Job | None:
    """The other import that has the turn, as far as its job is there."""
    running = Job.objects.filter(project=project, kind=Job.Kind.IMPORT, state=Job.State.RUNNING)
    others = running.exclude(pk=job.pk) if job else running
    taking_turns = others.exclude(recipe__dry_run=True).exclude(note__startswith=WAITING)
    return taking_turns.order_by("started_at").first()


def _busy(other: Job | None) -> str:
    if other is None:
        return _("A file is being imported into this project: try again when that has ended.")
    return _("Job %(job)d imports a file into this project: try again when it has ended.") % {
        "job": other.pk
    }
