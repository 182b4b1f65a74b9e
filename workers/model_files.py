"""The files of a model version, for a job: as they were registered, or the job fails with words."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

from django.conf import settings

from modelops import jobs, registry, store
from modelops.hashing import Watch
from modelops.jobs import JobFailed
from modelops.models import Job, ModelVersion


def verified(job: Job, version: ModelVersion) -> Path:
    """The version's folder on this host. All its bytes are read, which takes about a second a
    gigabyte. Raises JobFailed, and what a beat raises.
    """
    try:
        return registry.verified(version, watch(job))
    except (store.StoreFault, OSError) as error:
        raise JobFailed(f"{version.name} can't be loaded: {error}") from error


def watch(job: Job) -> Watch:
    """Beats while many bytes pass."""
    beaten = monotonic()

    def alive(count: int) -> None:
        nonlocal beaten
        if monotonic() - beaten >= settings.BEAT_SECONDS:
            beaten = monotonic()
            jobs.beat(job)

    return alive
