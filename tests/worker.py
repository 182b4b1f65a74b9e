"""A worker of the default queue, in the test's own process."""

from modelops import jobs
from modelops.models import Job
from workers import dataset_jobs


def work(job: Job) -> Job:
    """Let the worker run this job; how it stands then."""
    claimed = jobs.claim(job.pk, {job.kind})
    with jobs.running(claimed):
        dataset_jobs.run(claimed)
    return Job.objects.get(pk=job.pk)
