"""A PPO job from its request to the version that it registers, and its trainer killed at random
moments.
"""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from modelops import datasets, jobs, rows
from modelops.jobs import JobFailed
from modelops.kinds import QUEUES
from modelops.models import ModelVersion
from tests.factories import make_job, register_model
from tests.workers import tiny
from tests.workers.trainers.test_child_process import Child, figures
from tests.workers.trainers.test_ppo import QUICK, make_run, prompt, write_rows
from workers import training_job
from workers.machine_lock import Held

pytestmark = pytest.mark.torch


def version(project, settings, kind, name) -> ModelVersion:
    folder = settings.VAR / "models" / name
    (tiny.save if kind == "policy" else tiny.save_reward)(folder)
    return register_model(project, folder, name, kind)


@pytest.mark.django_db
def test_a_job_ends_with_a_version_that_names_its_parent_and_what_scored_it(
    project, carol, settings
):
    base, judge = (
        version(project, settings, "policy", "base"),
        version(project, settings, "reward", "reward 1"),
    )
    lines = (rows.canonical(prompt(number, f"clock {number}")) for number in range(20))
    dataset, _new = datasets.register(project, "judgments", *datasets.write(lines))
    asked = QUICK | {"max_steps": 2, "save_steps": 1}
    made = jobs.request(
        carol, project, "ppo", asked, model_version=base, dataset=dataset, reward_model=judge
    )
    job = jobs.claim(made.pk, QUEUES["training"])

    with open(settings.VAR / "lock", "w") as lock:
        training_job.run(job, Held(("cpu",), (lock.fileno(),)))

    tuned = ModelVersion.objects.get(job=job)
    assert (tuned.kind, tuned.parent, tuned.dataset, tuned.name) == (
        "policy",
        base,
        dataset,
        "assistant 1",
    )
    assert set(job.metrics.filter(step=1).values_list("name", flat=True)) >= {
        "reward",
        "kl",
        "entropy",
        "clip_fraction",
    }
    assert job.metrics.filter(step=None, name="reward", slice="held-out").exists()


@pytest.mark.django_db
def test_a_job_without_a_reward_model_says_so(project):
    with pytest.raises(JobFailed, match="needs a reward model"):
        training_job.others(make_job(project, "ppo"))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ppo-kills")
    tiny.save(folder / "model")
    tiny.save_reward(folder / "reward")
    write_rows(folder / "prompts", [prompt(number, f"clock {number}") for number in range(20)])
    return folder


def kill_while_it_writes_a_checkpoint(run: Path, child: Child) -> None:
    """As soon as there is a folder without its marker."""
    while child.process.poll() is None:
        for folder in (run / "checkpoints").glob("checkpoint-*"):
            if not (folder / "complete.json").exists():
                child.process.send_signal(signal.SIGKILL)
                child.process.wait()
                return
    raise AssertionError(child.stderr.read_text()[-2000:])


@pytest.mark.slow
def test_a_run_killed_at_three_moments_ends_with_the_same_figures(place):
    settings = QUICK | {"max_steps": 12, "save_steps": 2}
    whole = Child(make_run(place, place / "whole", **settings).folder).end()
    run = make_run(place, place / "killed", **settings).folder
    draw = random.Random(os.environ.get("PODIUM_KILLS", "1"))

    for step in (3, 5):  # one checkpoint lies behind each of them
        child = Child(run)
        child.until("step", step=step)
        time.sleep(draw.uniform(0, 0.2))
        child.process.send_signal(signal.SIGKILL)
        child.process.wait()
    child = Child(run)
    child.until("step", step=7)
    kill_while_it_writes_a_checkpoint(run, child)
    last = Child(run).end()

    assert figures(last) == figures(whole)
    steps = {e["step"]: json.dumps(e["metrics"]) for e in whole if e["event"] == "step"}
    resumed = {e["step"]: json.dumps(e["metrics"]) for e in last if e["event"] == "step"}
    assert 2 < min(resumed) <= max(resumed) == 12
    assert resumed == {step: steps[step] for step in resumed}
    [past] = [e["steps"] for e in last if e["event"] == "past"]
    assert [told["step"] for told in past] == list(range(1, min(resumed)))
    assert all(told["metrics"] == json.loads(steps[told["step"]]) for told in past)
