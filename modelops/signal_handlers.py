"""What modelops does when a project is archived: waiting jobs are cancelled."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from modelops import jobs
from modelops.models import Job
from people.models import Project, User
from people.signals import archived


@receiver(archived)
def cancel_waiting(sender: Any, actor: User | None, project: Project, **_) -> None:
    for job in Job.objects.filter(project=project, state=Job.State.QUEUED):
        jobs.cancel(actor, job)
