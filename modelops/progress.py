"""The progress of a job that reads or moves files, in megabytes."""

from __future__ import annotations

from time import monotonic

from modelops import jobs
from modelops.models import Job

EVERY = 0.5  # seconds between two beats, at least
MEGABYTE = 10**6


class Transfer:
    """Counts the bytes that pass of a `total`, and beats: its methods raise what a beat raises."""

    def __init__(self, job: Job, total: int):
        self.job, self.total, self.done, self.beaten_at = job, total, 0, -EVERY

    def begin(self, note: str) -> None:
        """Say on the job's page what is next: a file, for example."""
        self._beat(f"MB; {note}"[:200])

    def watch(self, count: int) -> None:
        """So many more bytes have passed."""
        self.done = min(self.done + count, self.total)
        self.alive()

    def alive(self, count: int = 0) -> None:
        """The job goes on. Bytes that pass meanwhile are no part of the total."""
        if monotonic() - self.beaten_at >= EVERY:
            self._beat(None)

    def finish(self) -> None:
        """All is here, or there, also what was moved by an earlier attempt."""
        self.done = self.total
        self._beat(None)

    def _beat(self, note: str | None) -> None:
        self.beaten_at = monotonic()
        done, total = (-(-count // MEGABYTE) for count in (self.done, self.total))
        jobs.beat(self.job, done=done, total=total, note=note)
