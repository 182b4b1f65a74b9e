"""Which of PPO's rounds is published, when a run ends early, what its log says of a collapse."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from modelops import recipes
from tests.workers import tiny
from tests.workers.trainers.test_ppo import (
    QUICK,
    figures,
    log,
    make_run,
    play,
    prompt,
    steps,
    write_rows,
)
from workers.engines.answers import Sample
from workers.trainers import ppo, ppo_choice, ppo_collapse, ppo_models
from workers.trainers.run import loop, marks
from workers.trainers.run.events import Stop

pytestmark = pytest.mark.torch

RUN = QUICK | {"average": 0.0, "kl_target": 0.0}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A policy, a reward model, and prompts of each split, with or without those for validation, or
    held out.
    """
    folder = tmp_path_factory.mktemp("ppo-choice")
    tiny.save(folder / "model")
    tiny.save_reward(folder / "reward")
    asked = [prompt(number, f"clock {number}") for number in range(16)]
    write_rows(folder / "prompts", asked)
    write_rows(folder / "tested", [row for row in asked if row["split"] != "validation"])
    write_rows(folder / "trained", [row for row in asked if row["split"] == "train"])
    return folder


@pytest.fixture
def scripted(monkeypatch):
    """Let held-out prompts score what is said here, round by round; the policies that were
    evaluated.
    """

    def script(rewards: dict[int, float], kl: dict[int, float] | None = None) -> dict[int, dict]:
        evaluate, seen = ppo_choice.Choice.evaluate, {}

        def evaluates(choice, number):
            value, distance = rewards[number], (kl or {}).get(number, 0.0)
            found = ppo_choice.Examined([], [value], [distance])
            weights = ppo_models.trained(choice.models.policy).items()
            seen[number] = {name: weight.detach().clone() for name, weight in weights}
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(ppo_choice, "examine", lambda *_: found)
                return evaluate(choice, number)

        monkeypatch.setattr(ppo_choice.Choice, "evaluate", evaluates)
        return seen

    return script


def adapter(run) -> dict:
    """The published adapter's weights, by the names that they have while they learn."""
    weights = load_file(run.out / "adapter" / "adapter_model.safetensors")
    return {name.replace(".weight", ".default.weight"): value for name, value in weights.items()}


def same(left: dict, right: dict) -> bool:
    return left.keys() == right.keys() and all(
        torch.equal(left[name], right[name]) for name in left
    )


# --- The best round -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rewards", "best"),
    [({0: 0.1, 2: 0.9, 4: 0.5}, 2), ({0: 0.1, 2: 0.2, 4: 0.5}, 4), ({0: 0.1, 2: 0.5, 4: 0.5}, 2)],
    ids=["the middle", "the last", "of equals the first"],
)
def test_the_round_that_scores_highest_on_held_out_prompts_is_published(
    place, tmp_path, scripted, rewards, best
):
    seen = scripted(rewards)
    run = make_run(place, tmp_path, **RUN)
    events = play(run)

    assert same(adapter(run), seen[best])
    assert [same(adapter(run), seen[number]) for number in seen] == [
        number == best for number in seen
    ]
    assert figures(events)["published_round", ""] == best
    assert f"Publishes round {best}: its mean reward on 2 prompts of the validation split" in log(
        events
    )
    assert [found.get("held_out_reward") for found in steps(events)] == [
        None,
        rewards[2],
        None,
        rewards[4],
    ]


def test_where_no_round_is_better_than_the_start_the_log_says_so(place, tmp_path, scripted):
    scripted({0: 0.9, 2: 0.3, 4: 0.2})
    events = play(make_run(place, tmp_path, **RUN))

    found = figures(events)
    assert found["published_round", ""] == 0
    assert found["reward", "train"] == found["start_reward", "train"]
    assert "the model that the run starts from: no round scored higher" in log(events)


def test_a_resumed_run_publishes_a_round_that_was_evaluated_before_it_died(
    place, tmp_path, scripted, monkeypatch
):
    seen = scripted({0: 0.1, 2: 0.9, 4: 0.5})
    run = make_run(place, tmp_path, **RUN)

    def dies(folder):
        if folder.name == "checkpoint-3":
            raise KeyboardInterrupt
        mark(folder)

    mark = marks.mark
    monkeypatch.setattr(marks, "mark", dies)
    with pytest.raises(KeyboardInterrupt):
        play(run)
    monkeypatch.setattr(marks, "mark", mark)
    before = dict(seen)
    seen.clear()
    events = play(run)

    assert list(seen) == [4]
    assert same(adapter(run), before[2])
    assert figures(events)["published_round", ""] == 2
    assert "(0: 0.1 at 0 nats, 2: 0.9 at 0 nats, 4: 0.5 at 0 nats)" in log(events)


def test_a_checkpoint_of_an_earlier_version_is_gone_on_from(place, tmp_path, monkeypatch):
    run = make_run(place, tmp_path, **RUN)
    monkeypatch.setattr(run.__class__, "publish", lambda *_: None)  # which deletes the checkpoints
    play(run)
    (run.checkpoints / "checkpoint-4" / "complete.json").unlink()
    file = run.checkpoints / "checkpoint-3" / "state.pt"
    state = torch.load(file, weights_only=True)
    torch.save(
        {name: state[name] for name in ("policy", "value", "optimizer", "beta", "average")}, file
    )
    (file.parent / "complete.json").unlink()
    marks.mark(file.parent)
    events = play(run)
    assert "Goes on from round 3." in log(events)
    assert "Publishes round 4" in log(events)


@pytest.mark.parametrize(
    ("dataset", "told", "words", "published"),
    [
        (
            "tested",
            {},
            "There is no validation prompt: the figures on the test prompts are of a round",
            None,
        ),
        (
            "trained",
            {},
            "There is no held-out prompt to choose a round by: the last one is published.",
            4,
        ),
        (
            "prompts",
            {"eval_steps": 0},
            "Publishes round 4, the last one: no round was evaluated.",
            4,
        ),
    ],
)
def test_without_validation_prompts_the_log_says_what_chooses(
    place, tmp_path, dataset, told, words, published
):
    run = make_run(place, tmp_path, **RUN | told)
    events = play(ppo.dataclasses.replace(run, dataset=place / dataset))
    assert words in log(events)
    assert published in (None, figures(events)["published_round", ""])


def test_what_is_evaluated_is_the_average_where_one_is_asked_for(place, tmp_path, scripted):
    seen = scripted({0: 0.1, 2: 0.9, 4: 0.95})
    run = make_run(place, tmp_path, **RUN | {"average": 0.9})
    play(run)
    averaged = dict(seen)
    assert same(adapter(run), averaged[4])

    plain = make_run(place, tmp_path / "plain", **RUN)
    last = scripted({0: 0.1, 2: 0.9, 4: 0.95})
    play(plain)
    moved = [
        sum((weights[4][name] - weights[0][name]).norm() for name in weights[4])
        for weights in (averaged, last)
    ]
    assert moved[0] < moved[1] / 2


# --- What is published is what was measured -------------------------------------------------------


def test_the_figures_are_those_of_what_was_written(place, tmp_path, monkeypatch):
    """The model of the start is written here by mistake: no figure may be of another one."""
    save = loop.save

    def mistaken(model, tokenizer, run, folder):
        save(model, tokenizer, run, folder)
        shutil.copy(run.model / "model.safetensors", folder / "model.safetensors")

    monkeypatch.setattr(loop, "save", mistaken)
    found = figures(play(make_run(place, tmp_path, **RUN | {"learning_rate": 0.05})))
    assert found["kl", "train"] == 0
    assert found["reward", "train"] == found["start_reward", "train"]
    assert found["bfloat16_share", "weights"] is not None


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_checkpoint_before_it(
    place, tmp_path, monkeypatch
):
    learn = ppo.Learner.learn

    def breaks(learner, found, rehearsed, number):
        told = learn(learner, found, rehearsed, number)
        return told | {"value_loss": math.nan} if number == 3 else told

    monkeypatch.setattr(ppo.Learner, "learn", breaks)
    run = make_run(place, tmp_path, **RUN)
    with pytest.raises(
        Stop,
        match="The value loss of step 3 is not a finite number: .* checkpoint of step 2 is kept",
    ):
        play(run)
    assert marks.newest(run.checkpoints).name == "checkpoint-2"


# --- The stop -------------------------------------------------------------------------------------


def test_a_run_ends_once_the_divergence_passes_the_stop_and_publishes_what_had_not(place, tmp_path):
    settings = RUN | {
        "learning_rate": 0.05,
        "max_steps": 30,
        "eval_steps": 1,
        "kl_stop": 0.5,
        "lora": False,
    }
    events = play(make_run(place, tmp_path, **settings))

    found = steps(events)
    assert len(found) < 30
    assert found[-1]["kl"] > 0.5 >= max(step["kl"] for step in found[:-1])
    assert "policy_loss" not in found[-1]  # nothing was learned from it
    assert f"Stops at round {len(found)} of 30: the mean divergence of its answers" in log(events)
    assert figures(events)["published_round", ""] < len(found)


def test_a_policy_that_has_passed_the_stop_is_not_published_however_high_it_scores(
    place, tmp_path, scripted
):
    scripted({0: 0.1, 2: 0.5, 4: 0.9}, kl={4: 101.0})
    events = play(make_run(place, tmp_path, **RUN | {"kl_stop": 100.0}))
    assert figures(events)["published_round", ""] == 2


# --- A collapse -----------------------------------------------------------------------------------


def answer(text: str, *ids: int) -> Sample:
    return Sample(text, len(ids), "stop", 0.0, ids=ids)


def test_repetition_is_counted():
    found = ppo_collapse.repetition([answer("a", 1, 2, 1), answer("a", 1, 2, 1), answer("b", 3)])
    assert found == {"commonest_share": 2 / 3, "distinct_1": 3 / 7, "distinct_2": 2 / 4}
    assert ppo_collapse.repetition([answer("", 5)])["distinct_2"] == 0


GOOD = {"commonest_share": 0.1, "distinct_2": 0.9, "entropy": 2.0, "cut_share": 0.2}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"commonest_share": 0.5}, "Alarm in round 2: 50% of the answers are the same text."),
        (
            {"distinct_2": 0.29},
            "Alarm in round 2: of the pairs of tokens 29.0% are distinct, and 90.0% were",
        ),
        (
            {"entropy": 0.4},
            "Alarm in round 2: the entropy of a token is 0.4 nats, and was 2 in the first round.",
        ),
        ({"cut_share": 0.6}, "Alarm in round 2: 60% of the answers were cut at max_tokens"),
    ],
)
def test_a_collapse_is_said_once(capsys, changes, words):
    watch = ppo_collapse.Watch()
    watch.look(1, GOOD, penalised=True)
    watch.look(2, GOOD | changes, penalised=True)
    resumed = ppo_collapse.Watch()
    resumed.restore(json.loads(json.dumps(watch.state())))
    resumed.look(3, GOOD | changes, penalised=True)

    said = [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()]
    assert len(said) == 1
    assert said[0].startswith(words)


def test_a_healthy_round_raises_no_alarm(capsys):
    watch = ppo_collapse.Watch()
    watch.look(1, GOOD, penalised=True)
    watch.look(
        2,
        {"commonest_share": 0.4, "distinct_2": 0.5, "entropy": 1.0, "cut_share": 0.4},
        penalised=True,
    )
    watch.look(3, GOOD | {"cut_share": 1.0}, penalised=False)
    assert capsys.readouterr().out == ""


def test_a_policy_that_says_the_same_each_time_raises_the_alarm_in_a_run(
    place, tmp_path, monkeypatch
):
    drawn = []

    def write(*args):
        found = ppo_models.write(*args)
        drawn.append(found)
        return found if len(drawn) == 1 else [found[0]] * len(found)

    monkeypatch.setattr(ppo, "write", write)
    events = play(make_run(place, tmp_path, **RUN | {"max_steps": 2}))
    assert "Alarm in round 2: 100% of the answers are the same text." in log(events)
    assert [step["commonest_share"] for step in steps(events)][1] == 1


# --- Recipes --------------------------------------------------------------------------------------


def test_a_recipe_that_was_stored_before_these_settings_reads_as_it_was_meant():
    stored = {
        "epochs": 8.0,
        "max_tokens": 64,
        "penalise_cut": False,
        "cut_reward": -1.0,
        "kl_target": 6.0,
    }
    recipe = recipes.read("ppo", stored)
    assert (recipe.penalise_cut, recipe.max_tokens, recipe.kl_target) == (False, 64, 6.0)
    assert recipes.read("ppo", {}).penalise_cut is True
