"""What modelops does when a project is archived, for a backup, and at the end of a request."""

from __future__ import annotations

from typing import Any

from django.core.signals import request_finished
from django.dispatch import receiver

from modelops import jobs, store
from modelops.models import Dataset, Job, ModelVersion
from people.models import Project, User
from people.signals import archived, kept_files


@receiver(archived)
def cancel_waiting(sender: Any, actor: User | None, project: Project, **_) -> None:
    for job in Job.objects.filter(project=project, state=Job.State.QUEUED):
        jobs.cancel(actor, job)


@receiver(kept_files)
def of_datasets_and_models(sender: Any, **_) -> dict[str, str]:
    datasets = Dataset.objects.filter(withdrawn_at=None).values_list("folder", "digest")
    models = ModelVersion.objects.exclude(folder="").exclude(folder__startswith="/")
    return {folder: f"the dataset {digest[:12]}" for folder, digest in datasets} | {
        folder: f"the model {name}" for folder, name in models.values_list("folder", "name")
    }


@receiver(request_finished)
def release_files(sender: Any, **_) -> None:
    store.release()
