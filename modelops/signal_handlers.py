"""What modelops does when a project is archived: waiting jobs are cancelled."""

from django.dispatch import receiver

from modelops import jobs
from modelops.models import Job
from people.signals import archived


@receiver(archived)
def cancel_waiting(sender, actor, project, **_) -> None:
    for job in Job.objects.filter(project=project, state=Job.State.QUEUED):
        jobs.cancel(actor, job)
