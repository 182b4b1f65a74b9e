"""The Celery tasks: thin. Each takes at most one job; any number of calls is harmless."""

from __future__ import annotations

import logging
from collections.abc import Callable

from celery import shared_task
from celery.signals import worker_ready

import labeling.retention
import people.retention
import workers.heartbeat  # noqa: F401  (connects its signals)
from labeling.queue import leases
from modelops import hosts, jobs, store
from modelops.kinds import QUEUES
from modelops.models import Job
from people import mail, scheduled_backups
from people.db import clock
from people.webhooks import delivery
from workers import dataset_jobs, machine_lock, sampling_job, training_job

log = logging.getLogger(__name__)


@shared_task(name="default.work")
def default_work() -> None:
    job = jobs.claim_next(QUEUES["default"])
    if job is not None:
        run(job, dataset_jobs.run)


@shared_task(name="sampling.work")
def sampling_work() -> None:
    on_devices("sampling", lambda job, held: sampling_job.run(job))


@shared_task(name="training.work")
def training_work() -> None:
    on_devices("training", training_job.run)


@shared_task(name="webhooks.deliver")
def deliver() -> None:
    delivery.deliver()


@shared_task(name="mail.deliver")
def deliver_mail() -> None:
    mail.deliver()


@shared_task(name="sweep")
def sweep() -> None:
    """What makes up for lost messages, dead workers and closed laptops."""
    clock.read()
    leases.expire()
    jobs.wake_waiting()
    delivery.wake_waiting()
    mail.wake_waiting()
    hosts.note_seen()


@shared_task(name="backup")
def back_up() -> None:
    scheduled_backups.run()


@shared_task(name="tidy")
def tidy() -> None:
    """What would fill the disk and the tables in the course of months."""
    people.retention.forget()
    labeling.retention.forget()
    try:
        labeling.retention.collect(labeling.retention.overdue())
        store.forget_gone()
    except store.StoreFault as error:
        log.warning("%s", error)


@worker_ready.connect
def look_once(**_) -> None:
    jobs.wake_waiting()


def on_devices(queue: str, body: Callable) -> None:
    """Take the queue's next job once there are devices for it; then let the others have a look.

    `body` gets the job and the devices that are held for it.
    """
    kinds = QUEUES[queue]
    for job in jobs.next_runnable(kinds):
        count, here = (
            machine_lock.wanted(job.recipe.get("devices", "1")),
            len(machine_lock.devices()),
        )
        if count > here:
            jobs.note(job, f"waiting for a host with {count} devices: this one has {here}")
            continue
        if not is_first_in_line(queue, job):
            return
        with machine_lock.held(count) as held:
            if held is None:
                machine_lock.waits(queue, job.priority)
                jobs.note_waiting(kinds)
                return
            claimed = jobs.claim_next(kinds, job.pk, str(held))
            if claimed is None:
                continue  # another worker was first, or it has just ended
            machine_lock.waits_no_more(queue)
            jobs.wake_waiting()  # there may be more devices
            run(claimed, lambda job: body(job, held))
        jobs.wake_waiting()
        return
    machine_lock.waits_no_more(queue)


def is_first_in_line(queue: str, job: Job) -> bool:
    """Is no other queue to have the next devices? If one is, it is woken: its message may have been
    lost.
    """
    note = machine_lock.first_in_line(queue, job.priority)
    if note is None:
        return True
    other = next((name for name in QUEUES if machine_lock.note_file(name) == note), None)
    if other and not jobs.runnable(QUEUES[other]).exists():
        machine_lock.waits_no_more(other)  # its job was cancelled, or taken on another host
        return is_first_in_line(queue, job)
    machine_lock.waits(queue, job.priority)
    jobs.note_waiting(QUEUES[queue])
    if other:
        jobs.wake(other)
    return False


def run(job: Job, body: Callable) -> None:
    try:
        with jobs.running(job):
            body(job)
    finally:
        store.release()
