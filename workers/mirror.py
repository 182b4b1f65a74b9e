"""The newest complete checkpoint of a training, in the store too: another host goes on from it."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

from django.conf import settings

from labeling.retention import still_refer
from modelops import jobs, store
from modelops.kinds import KEPT_CHECKPOINT
from modelops.models import Job
from modelops.stores import trees
from workers.trainers.run import marks


class Mirror:
    """Brings a run's checkpoints into the store while it trains, one at a time, where the operator
    has named a store that other hosts may see.
    """

    def __init__(self, job: Job, folder: Path):
        self.job, self.folder = job, folder
        self.step = job.result.get(KEPT_CHECKPOINT, {}).get("step", 0)
        self.thread: threading.Thread | None = None
        self.stored: dict[str, Any] | None = None  # what the thread has brought there

    def look(self) -> list[str]:
        """Note on the job what was stored, and begin to store a newer checkpoint if there is one.
        Returns lines for the job's log.
        """
        if not settings.STORE or (self.thread and self.thread.is_alive()):
            return []
        lines = self._note()
        newest = marks.newest_complete(self.folder / "checkpoints")
        if newest is not None and marks.step_of(newest) > self.step:
            self.step = marks.step_of(newest)
            self.thread = threading.Thread(target=self._store, args=[newest], daemon=True)
            self.thread.start()
        return lines

    def _note(self) -> list[str]:
        stored, self.stored = self.stored, None
        if stored is None:
            return []
        if error := stored.get("error"):
            return [f"The checkpoint of step {stored['step']} is on this host only: {error}"]
        before = self.job.result.get(KEPT_CHECKPOINT)
        self.job.result = self.job.result | {KEPT_CHECKPOINT: stored}
        if jobs.owned(self.job).update(result=self.job.result) and before:
            forget(before)
        return []

    def _store(self, checkpoint: Path) -> None:
        """In a thread of its own, without the database. The trainer may delete its own files
        meanwhile: they are linked first.
        """
        step = marks.step_of(checkpoint)
        linked = self.folder / f"mirrored-{step}"
        try:
            trees.copy(checkpoint, linked, links=True)
            self.stored = {"step": step, "stored": store.put(linked)}
        except (OSError, store.StoreFault) as error:
            self.stored = {"step": step, "error": str(error)}
        finally:
            shutil.rmtree(linked, ignore_errors=True)


def bring(job: Job, folder: Path) -> str:
    """Bring the job's checkpoint from the store into the run's folder, unless one as new is here.
    Returns a line for the job's log, or "".
    """
    kept = job.result.get(KEPT_CHECKPOINT)
    here = marks.newest_complete(folder / "checkpoints")
    if kept is None or (here is not None and marks.step_of(here) >= kept["step"]):
        return ""
    checkpoint = folder / "checkpoints" / f"checkpoint-{kept['step']}"
    shutil.rmtree(checkpoint, ignore_errors=True)  # what is not whole
    try:
        store.copy_to(kept["stored"], checkpoint)
    except (store.StoreFault, OSError) as error:
        return f"The checkpoint of step {kept['step']} can't be fetched: {error}"
    return f"Fetched the checkpoint of step {kept['step']} from the store."


def forget(kept: dict[str, Any] | None) -> None:
    """Delete a checkpoint that its job needs no more; what can't be deleted now is collected."""
    if kept and not still_refer(kept["stored"]):
        try:
            store.delete(kept["stored"])
        except store.StoreFault:
            pass
