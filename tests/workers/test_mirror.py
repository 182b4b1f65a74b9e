"""A training's newest checkpoint is in the store, and another host goes on from it."""

import errno
import shutil
import threading
from uuid import uuid4

import pytest

from labeling import retention
from modelops import datasets, jobs, registry, rows, store
from modelops.models import Dataset, Job, LogLine
from modelops.stores import trees
from tests.factories import make_job, make_project, register_model
from tests.modelops.test_store import make_folder, read
from workers import mirror, training_job
from workers.trainers.run import marks, runs

pytestmark = pytest.mark.django_db
FILES = {"model.safetensors": b"weights", "optimizer.pt": b"state"}


@pytest.fixture
def job(settings, tmp_path):
    settings.STORE, settings.VAR = str(tmp_path / "shared"), tmp_path / "a"
    project = make_project()
    base = register_model(project, tmp_path / "base")
    line = rows.canonical({"text": "Text", "split": "train"})
    dataset, _new = datasets.register(
        project, Dataset.Kind.TEXT, *datasets.write([line], Dataset.Kind.TEXT)
    )
    make_job(project, "reward", model_version=base, state="queued", dataset=dataset)
    return jobs.claim_next({"reward"})


def checkpoint(job, step: int, content: bytes = b"state"):
    folder = training_job.run_folder(job) / "checkpoints" / f"checkpoint-{step}"
    make_folder(folder, FILES | {"optimizer.pt": content})
    marks.mark(folder)
    return folder


def mirrored(job):
    """What the loop that follows a trainer does, until what was begun is noted."""
    mirror_ = mirror.Mirror(job, training_job.run_folder(job))
    lines = mirror_.look()
    while mirror_.thread and mirror_.thread.is_alive():
        mirror_.thread.join()
    return lines + mirror_.look()


def kept(job) -> dict:
    return Job.objects.get(pk=job.pk).result.get("checkpoint", {})


def held() -> set[str]:
    return {digest for digest, _stored_at, _size in store.entries()}


def test_another_host_goes_on_from_the_newest(job, settings, tmp_path):
    made = checkpoint(job, 10)
    assert mirrored(job) == []
    content = read(made)
    settings.VAR = tmp_path / "b"
    folder = training_job.prepare(job)

    assert kept(job)["step"] == 10
    assert read(marks.newest(folder / "checkpoints")) == content
    said = "Fetched the checkpoint of step 10 from the store."
    assert said in LogLine.objects.filter(job=job).values_list("text", flat=True)


def test_one_is_kept_of_a_job_and_none_once_it_is_done(job, tmp_path):
    others = held()
    for step in (10, 20):
        checkpoint(job, step, str(step).encode())
        mirrored(job)
        assert held() - others == {kept(job)["stored"]}
    shutil.move(checkpoint(job, 30), training_job.home(job))
    training_job.run(job, None)

    assert list(job.result) == ["model", "name"]
    version = registry.path(job.model_made)
    assert held() - others == {store.digest_of(job.model_made.folder)}
    assert (version / "model.safetensors").read_bytes() == b"weights"


def test_what_an_equal_training_needs_stays(job):
    checkpoint(job, 10)
    mirrored(job)
    twin = make_job(job.project, "reward", state="queued", result={"checkpoint": kept(job)})
    before = kept(job)["stored"]
    checkpoint(job, 20, b"20")
    mirrored(job)

    assert {before, kept(job)["stored"]} <= held() & retention.referred()
    Job.objects.filter(pk=twin.pk).delete()
    assert before not in retention.referred()


def test_what_is_not_whole_or_not_newer_is_left_alone(job, settings, tmp_path):
    checkpoint(job, 10)
    mirrored(job)
    half = checkpoint(job, 20)
    (half / marks.MARKER).unlink()
    mirrored(job)
    assert kept(job)["step"] == 10

    (half / "optimizer.pt").write_bytes(b"newer here")
    marks.mark(half)
    training_job.prepare(job)
    assert (half / "optimizer.pt").read_bytes() == b"newer here"


def test_nothing_is_copied_where_no_other_host_could_read_it(job, settings):
    settings.STORE = ""
    checkpoint(job, 10)

    assert mirrored(job) == []
    assert kept(job) == {}


def test_a_store_that_is_away_is_said_and_the_training_goes_on(job, monkeypatch):
    def away(*about):
        raise store.Unreachable("The store is away.")

    checkpoint(job, 10)
    monkeypatch.setattr(store, "put", away)
    assert mirrored(job) == ["The checkpoint of step 10 is on this host only: The store is away."]


def test_a_checkpoint_that_is_gone_is_said_and_the_training_begins_anew(job, settings, tmp_path):
    checkpoint(job, 10)
    mirrored(job)
    store.delete(kept(job)["stored"])
    settings.VAR = tmp_path / "b"
    folder = training_job.prepare(job)

    assert marks.newest(folder / "checkpoints") is None
    [line] = LogLine.objects.filter(job=job).values_list("text", flat=True)
    assert line.startswith("The checkpoint of step 10 can't be fetched: The store has no complete")


def test_a_full_disk_while_it_is_fetched_is_said(job, settings, tmp_path, monkeypatch):
    checkpoint(job, 10)
    mirrored(job)
    settings.VAR = tmp_path / "b"

    def full(*about):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(trees, "_copy_file", full)
    folder = training_job.run_folder(job)
    assert mirror.bring(job, folder) == (
        "The checkpoint of step 10 can't be fetched: The disk is full: make room, then try again."
    )
    assert list((folder / "checkpoints").iterdir()) == []


def test_a_worker_that_was_frozen_and_lost_its_job_takes_no_claim(job):
    folder = training_job.prepare(job)
    Job.objects.filter(pk=job.pk).update(claim=uuid4())
    (folder / runs.CLAIM).write_text("of another worker")
    with pytest.raises(jobs.LostClaim):
        training_job.take(job, folder)

    assert (folder / runs.CLAIM).read_text() == "of another worker"


# Who writes


def test_a_trainer_ends_once_another_worker_has_the_job(job, monkeypatch):
    folder, ended = training_job.prepare(job), threading.Event()
    training_job.take(job, folder)
    monkeypatch.setattr(runs, "CLAIM_SECONDS", 0.01)
    monkeypatch.setattr(runs.os, "_exit", lambda code: ended.set())
    told = (folder / runs.CLAIM, str(job.claim))
    trainer = threading.Thread(target=runs._end_with_claim, args=told)
    trainer.start()
    assert not ended.is_set()

    job.claim = uuid4()
    Job.objects.filter(pk=job.pk).update(claim=job.claim)
    training_job.take(job, folder)
    trainer.join()
    assert ended.is_set()
