"""Several processes that train together learn what one learns from steps as large, and leave one
result.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers import tiny
from tests.workers.trainers.test_child_process import figures, losses, make_run, write_dataset
from workers.trainers.run import runs

pytestmark = pytest.mark.torch

STEPS = {"max_steps": 4, "save_steps": 2, "learning_rate": 0.002}
SETTINGS = {
    "sft": STEPS | {"source": "best"},
    "dpo": STEPS,
    "kto": STEPS,
    "whole": STEPS | {"source": "best", "lora": False},
    "stopped": STEPS | {"source": "best", "lora": False},
    "adapter": STEPS | {"source": "best"},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny model and a dataset."""
    folder = tmp_path_factory.mktemp("processes")
    tiny.save(folder / "model")
    write_dataset(folder / "dataset")
    return folder


def launch(place: Path, config: str, names: list[str]) -> dict[str, Path]:
    """The folders of these runs, trained by two processes on four rows each a step."""
    made = {}
    for name in names:
        kind = name if name in ("dpo", "kto") else "sft"
        made[name] = make_run(place, f"{config}-{name}", kind, **SETTINGS[name] | {"batch": 4})
        if name == "stopped":
            (made[name] / "stops-after").write_text("2")
    file = Path(runs.__file__).parent / "launch" / f"{config}.yaml"
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(file)]
    command += [
        "--main_process_port",
        "0",
        "-m",
        "tests.workers.in_processes",
        *map(str, made.values()),
    ]
    paths = os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return made


@pytest.fixture(scope="module")
def copied(place):
    """Runs of two processes that hold a copy of the model each."""
    return launch(place, "processes", ["sft", "dpo", "kto"])


@pytest.fixture(scope="module")
def in_shards(place):
    """Runs of two processes that hold a half of the model each."""
    return launch(place, "fsdp", ["whole", "stopped", "adapter"])


@pytest.fixture
def alone(place, capsys):
    """The events of a run by this process, on eight rows a step."""
    import importlib

    def play(name):
        kind = name if name in ("dpo", "kto") else "sft"
        run = make_run(place, f"alone-{name}", kind, **SETTINGS[name] | {"batch": 8})
        importlib.import_module(f"workers.trainers.{kind}").train(
            runs.read(run / "recipe.json", kind)
        )
        return run, [
            json.loads(line)
            for line in capsys.readouterr().out.splitlines()
            if line.startswith("{")
        ]

    return play


def events_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def weights_of(run: Path) -> dict:
    from safetensors.torch import load_file

    return load_file(run / "out" / "model.safetensors")


def apart(saved: Path, expected: Path, place: Path) -> float:
    """How far two results lie apart, as a share of how far the second has moved from the model it
    started from.
    """
    import torch
    from safetensors.torch import load_file

    start, one, other = (
        load_file(place / "model" / "model.safetensors"),
        weights_of(saved),
        weights_of(expected),
    )
    assert one.keys() == other.keys() == start.keys()
    flat = [
        torch.cat([tensors[name].flatten() for name in start]) for tensors in (one, other, start)
    ]
    return ((flat[0] - flat[1]).norm() / (flat[1] - flat[2]).norm()).item()


# KTO estimates its divergence on the answers of a forward pass, which each process has its own of.
@pytest.mark.parametrize(("kind", "near"), [("sft", 1e-5), ("dpo", 1e-5), ("kto", 1e-3)])
def test_two_processes_learn_what_one_learns_from_steps_twice_as_large(
    place, copied, alone, kind, near
):
    run, single = alone(kind)
    events = events_of(copied[kind])

    assert apart(copied[kind], run, place) < 1e-3
    assert losses(events) == pytest.approx(losses(single), abs=near)
    assert figures(events) == pytest.approx(figures(single), abs=1e-3)
    assert [event["event"] for event in events].count("done") == 1
    assert {"event": "log", "text": "2 processes train together: a step takes 8 rows."} in events


@pytest.mark.parametrize("kind", ["sft", "dpo", "kto"])
def test_the_processes_agree_to_the_last_bit(copied, kind):
    first, second = ((copied[kind] / f"rank-{rank}").read_text() for rank in (0, 1))
    assert first == second


def test_a_model_in_shards_is_saved_whole_and_is_what_one_process_would_have_made(
    place, in_shards, alone
):
    from transformers import AutoModelForCausalLM

    run, single = alone("whole")
    _, info = AutoModelForCausalLM.from_pretrained(
        in_shards["whole"] / "out", output_loading_info=True
    )

    assert not info["missing_keys"]
    assert losses(events_of(in_shards["whole"])) == pytest.approx(losses(single), abs=1e-4)
    assert apart(in_shards["whole"], run, place) < 1e-3


def test_a_stopped_run_in_shards_ends_as_if_nothing_had_happened(in_shards):
    whole, stopped = weights_of(in_shards["whole"]), weights_of(in_shards["stopped"])
    events = events_of(in_shards["stopped"])
    assert {"event": "log", "text": "Goes on from step 2."} in events
    assert [event["step"] for event in events if event["event"] == "step"] == [1, 2, 3, 4]
    assert all(stopped[name].equal(tensor) for name, tensor in whole.items())


def test_an_adapter_in_shards_is_merged_and_kept_beside(place, in_shards, alone):
    run, _ = alone("adapter")
    assert apart(in_shards["adapter"], run, place) < 1e-3
    assert (in_shards["adapter"] / "out" / "adapter" / "adapter_model.safetensors").exists()


def test_shards_are_refused_on_a_processor(place, monkeypatch):
    """accelerate would hold a copy in each process, without a word."""
    from workers.trainers import sft
    from workers.trainers.run.events import Stop

    run = make_run(place, "refused", "sft", **SETTINGS["sft"])
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(Stop, match="take GPUs"):
        sft.train(runs.read(run / "recipe.json", "sft"))


def test_ppo_refuses_several_processes(place, monkeypatch):
    from workers.trainers import ppo
    from workers.trainers.run.events import Stop

    run = make_run(place, "ppo", "ppo")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(Stop, match="PPO learns in a single process"):
        ppo.train(runs.read(run / "recipe.json", "ppo"))
