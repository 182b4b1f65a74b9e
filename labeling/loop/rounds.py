"""Start and end a round of the loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.timezone import now
from django.utils.translation import gettext as _

from labeling.models import Round, RoundStep
from modelops.models import Job
from people import audit
from people.access import Refused
from people.models import Project, User

# What kinds of job may make a step of a kind; the other steps are made by people.
JOBS = {
    RoundStep.Kind.FREEZE: (Job.Kind.FREEZE,),
    RoundStep.Kind.REWARD: (Job.Kind.REWARD,),
    RoundStep.Kind.POLICY: (Job.Kind.SFT, Job.Kind.DPO, Job.Kind.KTO, Job.Kind.PPO),
    RoundStep.Kind.SAMPLE: (Job.Kind.SAMPLE,),
}


@dataclass(frozen=True)
class Step:
    """A step that a round is to have: its job, if it has one already, and its gate, or {}."""

    kind: str
    job: Job | None = None
    gate: dict[str, Any] | None = None


WHOLE = tuple(Step(kind) for kind in RoundStep.Kind.values)  # a whole pass through the loop


@transaction.atomic
def start(actor: User | None, project: Project, steps: Sequence[Step] = WHOLE) -> Round:
    """The project's next round. Raises Refused where one is open, or a job does not fit its
    step.
    """
    # two that start take turns; tasks and jobs may be added meanwhile
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    still_open = Round.objects.filter(project=project, state=Round.State.OPEN).first()
    if still_open:
        raise Refused(_("Round %(n)s is still open: end it first.") % {"n": still_open.n})
    refuse_jobs(project, steps)
    last = Round.objects.filter(project=project).aggregate(last=Max("n"))["last"] or 0
    started = Round.objects.create(project=project, n=last + 1, started_by=actor)
    RoundStep.objects.bulk_create(
        RoundStep(
            round=started, position=position, kind=step.kind, job=step.job, gate=step.gate or {}
        )
        for position, step in enumerate(steps)
    )
    audit.record(actor, "start round", started, project, n=started.n, steps=len(steps))
    return started


def refuse_jobs(project: Project, steps: Sequence[Step]) -> None:
    """Raises Refused unless each step's job is of the project, of a fitting kind, and its alone."""
    jobs = [step.job for step in steps if step.job is not None]
    for step in steps:
        if step.job is not None and (
            step.job.project_id != project.pk
            or step.job.kind not in JOBS.get(RoundStep.Kind(step.kind), ())
        ):
            raise Refused(
                _("Job %(job)s does not make a step %(kind)s of this project.")
                % {"job": step.job.pk, "kind": step.kind},
                "steps",
            )
    taken = RoundStep.objects.filter(job__in=jobs).values_list("job", flat=True).first()
    if taken is not None or len(set(jobs)) < len(jobs):
        raise Refused(_("A job makes one step: one of these makes another step too."), "steps")


@transaction.atomic
def end(actor: User | None, ended: Round, state: str) -> None:
    """End an open round as done or stopped. Raises Refused where it is over. Its jobs go on."""
    still_open = Round.objects.filter(pk=ended.pk, state=Round.State.OPEN)
    if not still_open.update(state=state, ended_at=now()):
        raise Refused(_("Round %(n)s is over already.") % {"n": ended.n})
    audit.record(actor, "end round", ended, ended.project, n=ended.n, state=state)
