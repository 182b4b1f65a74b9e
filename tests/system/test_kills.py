"""kill -9 of anything, in the middle of anything: every job ends complete, and nothing is lost or
doubled.
"""

import json

import pytest

from benchmarks.person import Site
from tests.system.podium import wait_for

pytestmark = [pytest.mark.system, pytest.mark.torch]
LONG = {
    "epochs": 8,
    "batch": 2,
    "max_length": 64,
    "save_steps": 10,
}  # a hundred small steps on the tiny model


@pytest.fixture(scope="module")
def admin(running_podium):
    return Site(
        running_podium.url, "admin@podium.local", running_podium.accounts()["admin@podium.local"]
    )


@pytest.fixture(scope="module")
def project(running_podium, admin):
    """A project of its own with forty ranked prompts; returns its slug and the dataset frozen from
    them.
    """
    wait_for(
        lambda: not unfinished(running_podium), 120, "the first run's own sampling job is done"
    )
    admin.submit("/projects/new", {"name": "Kills", "slug": "kills"})
    body = "\n".join(json.dumps(ranked_prompt(number)) for number in range(40)).encode()
    uploaded = admin.submit(
        "/p/kills/prompts/upload", {"format": "prompts"}, files={"file": ("p.jsonl", body)}
    )
    admin.wait("kills", int(str(uploaded.url).rstrip("/").split("/")[-1]), 60)
    imported = admin.submit(uploaded.url.path, {"import": "1"})
    admin.wait("kills", int(str(imported.url).rstrip("/").split("/")[-1]), 60)
    frozen = admin.wait("kills", admin.start("kills", "freeze"), 60)
    return "kills", frozen["dataset_made"]


def ranked_prompt(number):
    answers = [{"text": f"word {'!' * n} {number}", "model": "m", "rank": n} for n in range(3)]
    return {
        "prompt": f"Say {number}",
        "split": "test" if number % 5 == 0 else "train",
        "answers": answers,
    }


def unfinished(podium):
    return podium.sql("select 1 from modelops_job where state in ('queued', 'running')")


def rankings(podium, slug):
    return podium.sql(
        "select count(*) from labeling_ranking r join labeling_rankingtask t on t.id = r.task_id "
        "join people_project p on p.id = t.project_id where p.slug = ? and r.kind = 'labeler'",
        slug,
    )


def trainers(podium):
    return [pid for pid, command in podium.processes() if "-m workers.trainers." in command]


def base(admin, slug):
    from benchmarks.loop import base_model

    return base_model(admin, slug)


def start_training(admin, slug, dataset):
    return admin.start(slug, "reward", model_version=base(admin, slug), dataset=dataset, **LONG)


def progress(admin, slug, job):
    return admin.job(slug, job)["done"]


def test_a_killed_sampling_worker(running_podium, admin, project):
    slug, _ = project
    settings = {"k": 4, "batch": 2, "max_tokens": 8, "rank": "on"}
    job = admin.start(slug, "sample", model_version=base(admin, slug), **settings)
    wait_for(lambda: progress(admin, slug, job) >= 10, 60, "some answers are there")

    running_podium.kill_9("worker-sampling")
    ended = admin.wait(slug, job, 120)

    assert (ended["done"], ended["total"]) == (160, 160)
    slots = running_podium.sql(
        "select prompt_id, slot from labeling_candidate where job_id = ?", job
    )
    assert len(slots) == len(set(slots)) == 160
    assert running_podium.sql(
        "select count(*) from labeling_rankingtask where job_id = ?", job
    ) == [(40,)]


@pytest.mark.parametrize("victim", ["worker", "child"])
def test_a_killed_training(running_podium, admin, project, victim):
    slug, dataset = project
    job = start_training(admin, slug, dataset)
    wait_for(
        lambda: progress(admin, slug, job) >= 12,
        120,
        "some steps are done, and a checkpoint is there",
    )
    if victim == "worker":
        running_podium.kill_9("worker-training")
    else:
        import os
        import signal

        os.kill(trainers(running_podium)[0], signal.SIGKILL)
    seen = []
    ended = admin.wait(slug, job, 240, tell=lambda _: seen.append(len(trainers(running_podium))))

    assert max(seen) == 1, "never a second writer"
    assert ended["done"] == ended["total"] > 100
    versions = running_podium.sql(
        "select name, sha256 from modelops_modelversion where job_id = ?", job
    )
    assert len(versions) == 1
    steps = running_podium.sql(
        "select step from modelops_metric where job_id = ? and name = 'loss' and step > 0", job
    )
    assert len(steps) == len(set(steps)), "each step was reported once"


def test_a_killed_broker(running_podium, admin, project):
    slug, _ = project
    labeler = Site(
        running_podium.url,
        "labeler@podium.local",
        running_podium.accounts()["labeler@podium.local"],
    )
    settings = {"k": 4, "batch": 2, "max_tokens": 8, "seed": 9}
    job = admin.start(slug, "sample", model_version=base(admin, slug), **settings)
    waiting = admin.start(
        slug, "sample", model_version=base(admin, slug), **settings | {"seed": 10}
    )
    wait_for(lambda: progress(admin, slug, job) >= 10, 60, "some answers are there")

    running_podium.kill_9("broker")
    task = labeler.next_task("demo")
    labeler.rank(task, {letter: rank for rank, letter in enumerate(task.answers, start=1)})

    for number in (job, waiting):
        assert admin.wait(slug, number, 120)["done"] == 160
    assert rankings(running_podium, "demo") == [(1,)]
    wait_for(running_podium.is_well, 60)
