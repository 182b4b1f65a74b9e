"""What modelops does when a project is archived, and at the end of a request."""

from __future__ import annotations

from typing import Any

from django.core.signals import request_finished
from django.dispatch import receiver

from modelops import jobs, store
from modelops.models import Job
from people.models import Project, User
from people.signals import archived


@receiver(archived)
def cancel_waiting(sender: Any, actor: User | None, project: Project, **_) -> None:
    for job in Job.objects.filter(project=project, state=Job.State.QUEUED):
        jobs.cancel(actor, job)


@receiver(request_finished)
def release_files(sender: Any, **_) -> None:
    store.release()
