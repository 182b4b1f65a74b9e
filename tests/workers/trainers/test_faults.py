"""Trainers in trouble: each ends with one sentence that says what to do and a code other than 0,
and leaves no result.
"""

import json
import random
import shutil
import time
from pathlib import Path

import pytest

from tests.workers import tiny
from tests.workers.trainers.test_child_process import (
    DPO,
    REWARD,
    Child,
    figures,
    make_run,
    write_dataset,
)

pytestmark = pytest.mark.torch

FAULTS = {
    "memory": """
import torch, transformers
transformers.Trainer.create_optimizer = lambda *_, **__: torch.empty(10**15)
""",
    "disk": """
import torch
def save(value, path, *_, **__):
    with open("/dev/full", "wb", buffering=0) as full:
        full.write(b"x")
torch.save = save
""",
    "result": """
import safetensors.torch, transformers.modeling_utils
def save(*_, **__):
    raise OSError(28, "No space left on device")
from workers.trainers.run import loop
loop.save = save
""",
}
SETTINGS = {"reward": REWARD, "dpo": DPO, "sft": {"max_steps": 6, "save_steps": 3}}
SAYS = {
    "memory": "The machine ran out of memory: lower the batch",
    "disk": "The disk is full: free some space",
    "result": "The disk is full: free some space",
}
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a tiny model and a dataset."""
    folder = tmp_path_factory.mktemp("faults")
    tiny.save(folder / "model")
    write_dataset(folder / "dataset")
    return folder


class Broken(Child):
    """A trainer whose process has a fault from the start."""

    def __init__(self, run: Path, fault: str):
        super().__init__(run, before=fault)


def assert_ends_with(child: Child, run: Path, words: str) -> None:
    assert child.until("error")["text"].startswith(words)
    assert child.process.wait(timeout=120) not in (0, None)
    assert not (run / "out").exists()
    assert (run / "recipe.json").exists()


CASES = [("reward", "memory"), ("reward", "disk")]
CASES += [
    pytest.param(kind, fault, marks=slow) for kind in ("sft", "dpo") for fault in ("memory", "disk")
]
CASES += [pytest.param(kind, "result", marks=slow) for kind in SETTINGS]


@pytest.mark.parametrize(("kind", "fault"), CASES)
def test_a_trainer_without_memory_or_disk_says_what_to_do(place, kind, fault):
    run = make_run(place, f"{kind}-{fault}", kind, **SETTINGS[kind])
    assert_ends_with(Broken(run, FAULTS[fault]), run, SAYS[fault])


@pytest.mark.slow
def test_after_the_disk_has_room_again_the_run_ends_as_it_should(place):
    run = make_run(place, "again", "reward", max_steps=4, save_steps=2)
    Broken(run, FAULTS["disk"]).until("error")
    assert figures(Child(run).end())["prompts", "held-out"] == 24


@pytest.mark.parametrize(
    "kind", ["reward", pytest.param("sft", marks=slow), pytest.param("dpo", marks=slow)]
)
def test_a_broken_dataset_file_is_named(place, kind):
    run = make_run(place, f"{kind}-rows", kind)
    broken = place / f"broken-{kind}"
    shutil.copytree(place / "dataset", broken)
    rows = broken / "rows.jsonl"
    rows.write_bytes(rows.read_bytes()[:-40])
    recipe = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps(recipe | {"dataset": str(broken)}))
    assert_ends_with(Child(run), run, f"The dataset broken-{kind} has a broken line: verify it")


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_missing_model_is_named(place, kind):
    run = make_run(place, f"{kind}-model", kind, model=place / "nowhere")
    assert_ends_with(Child(run), run, "There is no model in")


@pytest.mark.slow
def test_killed_at_three_random_moments_a_reward_run_ends_as_an_undisturbed_one(place):
    """The second time while a checkpoint is written: its folder is there, its marker is not."""
    whole = Child(make_run(place, "whole", "reward", **REWARD)).end()
    run, draw = make_run(place, "killed", "reward", **REWARD), random.Random(time.time_ns())

    kill(Child(run), until_step=draw.randint(1, 6))
    child = Child(run)
    child.until("start")  # what an earlier kill had cut short is gone
    being_written(run / "checkpoints")
    kill(child)
    child = Child(run)
    child.until("log")
    time.sleep(draw.uniform(0, 4))
    kill(child)

    assert figures(Child(run).end()) == figures(whole)


def kill(child: Child, until_step: int | None = None) -> None:
    if until_step:
        child.until("step", step=until_step)
    child.process.kill()
    child.process.wait()


def being_written(checkpoints: Path) -> None:
    """Wait for a checkpoint that is begun and not complete."""
    known = set(checkpoints.glob("checkpoint-*/complete.json"))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        begun = [
            path for path in checkpoints.glob("checkpoint-*") if path / "complete.json" not in known
        ]
        if any(not (path / "complete.json").exists() for path in begun):
            return
        time.sleep(0.001)
    raise AssertionError("no checkpoint was begun")


@pytest.fixture(scope="module")
def default_model(tmp_path_factory) -> Path:
    from workers import download_model

    target = tmp_path_factory.mktemp("default") / "model"
    download_model.fetch(target)
    return target


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["reward", "sft"])
def test_the_default_model_killed_once_ends_as_undisturbed(place, default_model, kind):
    settings = {"max_steps": 4, "save_steps": 2, "batch": 2}
    whole = Child(make_run(place, f"{kind}-default", kind, default_model, **settings)).end()
    run = make_run(place, f"{kind}-default-killed", kind, default_model, **settings)
    kill(Child(run), until_step=3)
    assert figures(Child(run).end()) == pytest.approx(figures(whole), rel=1e-4)
