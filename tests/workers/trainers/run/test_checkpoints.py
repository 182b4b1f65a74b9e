"""A run that is stopped between any two of its phases ends as one that nothing happens to."""

import json

import pytest
import torch
from safetensors.torch import load_file

from tests.workers import tiny
from tests.workers.trainers.test_child_process import make_run, write_dataset
from workers.trainers import dpo, kto, ppo, reward, sft
from workers.trainers.run import events, loop, marks, model_card, runs

pytestmark = pytest.mark.torch

STEPS = 2  # fewer than an epoch has: that is where a resumed run took one more
SETTINGS = {"max_steps": STEPS, "save_steps": 1, "learning_rate": 0.002}
PPO = {
    "rollouts": 4,
    "batch": 2,
    "max_tokens": 8,
    "max_length": 128,
    "gamma": 0.0,
    "penalise_cut": False,
}
TRAINERS = {"sft": sft, "dpo": dpo, "kto": kto, "reward": reward, "ppo": ppo}


class Killed(BaseException):
    pass


def killed(*_, **__):
    raise Killed


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny model, a reward model and a dataset."""
    folder = tmp_path_factory.mktemp("resumed")
    tiny.save(folder / "model")
    tiny.save_reward(folder / "judge")
    write_dataset(folder / "dataset", prompts=20)
    return folder


@pytest.fixture
def heard(monkeypatch):
    """The events of the run that plays."""
    found = []
    monkeypatch.setattr(
        events, "emit", lambda event, **fields: found.append({"event": event, **fields})
    )
    return found


def new_run(place, name, kind):
    folder = make_run(place, name, kind, **SETTINGS, **(PPO if kind == "ppo" else {}))
    path = folder / "recipe.json"
    asked = json.loads(path.read_text()) | (
        {"others": {"reward_model": str(place / "judge")}} if kind == "ppo" else {}
    )
    path.write_text(json.dumps(asked))
    return runs.read(path, kind)


def play(run, heard):
    """As a child does; the steps that it told of, and its figures."""
    heard.clear()
    if run.out.exists():
        run.report()
    else:
        TRAINERS[run.kind].train(run)
    steps = [event["step"] for event in heard if event["event"] == "step"]
    return steps, {(e["name"], e["slice"]): e["value"] for e in heard if e["event"] == "metric"}


def in_the_first_step(patch, run):
    def mark(folder):
        raise Killed

    patch.setattr(marks, "mark", mark)


def before_the_last_checkpoint_is_whole(patch, run):
    mark = marks.mark
    patch.setattr(
        marks,
        "mark",
        lambda folder: killed() if folder.name.endswith(f"-{STEPS}") else mark(folder),
    )


def after_the_last_step(patch, run):
    if run.kind == "ppo":
        patch.setattr(ppo.Choice, "settle", killed)
        return
    train = loop.train
    patch.setattr(loop, "train", lambda *args: (train(*args), killed()))


def after_the_figures(patch, run):
    patch.setattr(runs.Run, "publish", killed)


def while_the_result_is_written(patch, run):
    patch.setattr(model_card, "text", killed)


def once_the_result_is_there(patch, run):
    flush = runs.flush
    patch.setattr(runs, "flush", lambda path: killed() if path == run.out.parent else flush(path))


PHASES = {
    in_the_first_step: [1],
    before_the_last_checkpoint_is_whole: [1, 2],
    after_the_last_step: [2],
    after_the_figures: [],
    while_the_result_is_written: [],
    once_the_result_is_there: [],
}


@pytest.mark.parametrize("kind", TRAINERS)
def test_a_run_stopped_between_any_two_phases_ends_as_if_nothing_had_happened(
    kind, place, heard, monkeypatch
):
    """Stopped again and again, each time a phase later, it takes no step twice that a whole
    checkpoint holds.
    """
    whole, run = new_run(place, f"whole-{kind}", kind), new_run(place, f"stopped-{kind}", kind)
    steps, figures = play(whole, heard)
    assert steps == [1, 2]

    for phase, expected in PHASES.items():
        with monkeypatch.context() as patch:
            phase(patch, run)
            with pytest.raises(Killed):
                play(run, heard)
        told = [event["step"] for event in heard if event["event"] == "step"]
        assert told == expected, phase.__name__
    again = play(run, heard)

    assert again == ([], pytest.approx(figures, abs=1e-6))
    written, right = (load_file(each.out / "model.safetensors") for each in (run, whole))
    assert written.keys() == right.keys()
    assert all(torch.equal(written[name], right[name]) for name in right)
