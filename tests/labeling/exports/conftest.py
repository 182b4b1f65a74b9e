"""Judgments that several tests of exports freeze."""

import pytest

from modelops import progress
from modelops.models import Job
from tests.factories import make_model, make_prompt, make_ranking, make_task


@pytest.fixture
def judged(project, alice, bob):
    """A task on which two agree, one on which they don't, and a tie that one person made."""
    agreed, disputed = make_task(project), make_task(project)
    for task, ranks in ((agreed, [1, 2, 3, 4]), (disputed, [4, 3, 2, 1])):
        make_ranking(task, alice)
        make_ranking(task, bob, ranks=ranks)
    tied = make_task(
        project,
        prompt=make_prompt(project, use_case="chat", language="de"),
        model=make_model(project, "tied"),
    )
    make_ranking(tied, alice, ranks=[1, 1, 2, 3])
    return agreed, disputed, tied


class Passing:
    """The bytes that pass while a job works, with a beat each time. At the `cancel_at`th time the
    job is cancelled.
    """

    def __init__(self):
        self.counts, self.cancel_at = [], 0
        self.watch = progress.Transfer.watch

    def record(self, transfer, count):
        self.counts.append(count)
        if len(self.counts) == self.cancel_at:
            Job.objects.filter(pk=transfer.job.pk).update(cancel_requested=True)
        self.watch(transfer, count)


@pytest.fixture
def passing(monkeypatch):
    """Each beat of a job that reads files, which then counts bytes in place of megabytes."""
    monkeypatch.setattr(progress, "EVERY", 0)
    monkeypatch.setattr(progress, "MEGABYTE", 1)
    recorded = Passing()
    monkeypatch.setattr(
        progress.Transfer, "watch", lambda transfer, count: recorded.record(transfer, count)
    )
    return recorded
