"""The Celery tasks: thin. Each takes at most one job; any number of calls is harmless."""

from celery import shared_task
from celery.signals import worker_ready

from labeling import assignment, tidying
from modelops import jobs
from modelops.models import Job
from people import deliveries, housekeeping
from workers import data, machine, pulse, sampling, training  # noqa: F401  (pulse connects its signals)


@shared_task(name="default.work")
def default_work() -> None:
    job = jobs.claim_next(jobs.QUEUES["default"])
    if job is not None:
        run(job, data.run)


@shared_task(name="sampling.work")
def sampling_work() -> None:
    alone("sampling", sampling.run)


@shared_task(name="training.work")
def training_work() -> None:
    alone("training", training.run)


@shared_task(name="webhooks.deliver")
def deliver() -> None:
    deliveries.deliver()


@shared_task(name="sweep")
def sweep() -> None:
    """What makes up for lost messages, dead workers and closed laptops."""
    assignment.expire()
    jobs.wake_waiting()
    deliveries.wake_waiting()


@shared_task(name="tidy")
def tidy() -> None:
    """What would fill the disk and the tables in the course of months."""
    housekeeping.forget()
    tidying.forget()


@worker_ready.connect
def look_once(**_) -> None:
    jobs.wake_waiting()


def alone(queue: str, body) -> None:
    """Take the queue's next job while no other torch process of this host runs, then let the others have a look."""
    kinds = jobs.QUEUES[queue]
    if not jobs.runnable(kinds).exists():
        return
    with machine.held() as lock:
        if lock is None:
            jobs.note_waiting(kinds)
            return
        job = jobs.claim_next(kinds)
        if job is not None:
            run(job, lambda job: body(job, lock))
    jobs.wake_waiting()


def run(job: Job, body) -> None:
    with jobs.running(job):
        body(job)
