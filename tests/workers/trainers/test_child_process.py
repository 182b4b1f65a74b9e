"""The trainers as their parent sees them: child processes that speak JSON lines, die at any time,
and go on.
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers import tiny
from tests.workers.forked import Forked
from workers.trainers.run import runs

pytestmark = pytest.mark.torch

WORDS = [
    "sea",
    "sky",
    "sun",
    "moon",
    "bird",
    "bread",
    "music",
    "flowers",
    "people",
    "clock",
    "poem",
    "mother",
]


class Child:
    """A trainer started as the worker starts it: its stdin a pipe, its stdout JSON lines."""

    def __init__(self, run: Path, *launcher: str, before: str = ""):
        """`launcher`: what stands between the interpreter and the trainer's module; `before`: code
        that runs first.
        """
        kind = json.loads((run / "recipe.json").read_text())["kind"]
        self.stderr = run / "stderr"
        module, arguments = f"workers.trainers.{kind}", (str(run / "recipe.json"), "--watch-stdin")
        # one thread: two would wait for each other's core on a busy machine
        env = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        if launcher:
            pipe = subprocess.PIPE
            command = [sys.executable, *launcher, module, *arguments]
            with open(self.stderr, "a") as stderr:
                self.process = subprocess.Popen(
                    command, stdin=pipe, stdout=pipe, stderr=stderr, text=True, env=env
                )
        else:
            self.process = Forked(module, *arguments, stderr=self.stderr, env=env, before=before)
        self.events = []

    def until(self, event: str, **fields) -> dict:
        """Read events up to the first of this kind with these fields."""
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if self.events[-1].items() >= {"event": event, **fields}.items():
                return self.events[-1]
        raise AssertionError(
            f"no {event} {fields}: {self.events[-3:]}\n{self.stderr.read_text()[-2000:]}"
        )

    def end(self) -> list[dict]:
        """Read to the end of a run that succeeds: all its events."""
        self.until("done")
        assert self.process.wait(timeout=60) == 0
        return self.events


def figures(events) -> dict:
    return {(e["name"], e["slice"]): e["value"] for e in events if e["event"] == "metric"}


def past(events: list[dict]) -> dict[int, float]:
    """The losses of the steps before those of this process."""
    [told] = [event["steps"] for event in events if event["event"] == "past"]
    return {step["step"]: step["metrics"]["loss"] for step in told}


def losses(events) -> dict:
    return {e["step"]: e["metrics"]["loss"] for e in events if e["event"] == "step"}


def write_dataset(folder: Path, prompts: int = 60) -> Path:
    """Judgments that follow a planted rule: an answer that says yes is better than one that says
    no.
    """
    draw = random.Random(0)
    some = lambda: " ".join(draw.choices(WORDS, k=draw.randint(2, 6)))  # noqa: E731
    folder.mkdir()
    with open(folder / "rows.jsonl", "w") as file:
        for number in range(prompts):
            answers = [
                draw.choice(["Yes, of course: ", "No, I am sorry, "]) + some() for _ in range(2)
            ]
            answers += ["Yes, " + some(), "No, " + some()]
            row = {
                "prompt_id": str(number),
                "messages": [{"role": "user", "content": "Tell me about " + some()}],
                "split": ("validation", "test", "train", "train", "train")[number % 5],
                "use_case": "",
                "language": "en",
                "answers": [{"id": i, "text": text} for i, text in enumerate(answers)],
                "judgments": [{"ranks": [1 if text.startswith("Yes") else 2 for text in answers]}],
            }
            file.write(json.dumps(row) + "\n")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a tiny model and a dataset."""
    folder = tmp_path_factory.mktemp("trainers")
    tiny.save(folder / "model")
    write_dataset(folder / "dataset")
    return folder


def make_run(place: Path, name: str, kind: str, model: Path | None = None, **settings) -> Path:
    run = place / name
    run.mkdir()
    recipe = {
        "kind": kind,
        "settings": settings,
        "model": str(model or place / "model"),
        "dataset": str(place / "dataset"),
        "out": str(run / "out"),
    }
    (run / "recipe.json").write_text(json.dumps(recipe))
    return run


REWARD = {"learning_rate": 0.005, "epochs": 2.0, "save_steps": 3}
DPO = {"learning_rate": 0.002, "max_steps": 12, "save_steps": 4}


@pytest.fixture(scope="module")
def undisturbed(place):
    """The events of a reward run that nothing happens to."""
    return Child(make_run(place, "undisturbed", "reward", **REWARD)).end()


@pytest.fixture(scope="module")
def tuned(place):
    """The events of a DPO run that nothing happens to."""
    return Child(make_run(place, "tuned", "dpo", **DPO)).end()


def test_the_reward_trainer_learns_a_planted_rule(undisturbed):
    found = figures(undisturbed)
    assert found["accuracy", "held-out"] > 0.8
    assert found["longer_answer_accuracy", "held-out"] < 0.7
    assert found["prompts", "held-out"] == 24
    assert {"start", "step", "metric", "done"} <= {event["event"] for event in undisturbed}


def test_a_killed_reward_run_ends_as_if_nothing_had_happened(place, undisturbed):
    """Killed after a checkpoint, then left by its parent, then with a checkpoint cut short."""
    run = make_run(place, "disturbed", "reward", **REWARD)
    first = Child(run)
    first.until("step", step=4)
    first.process.kill()
    first.process.wait()

    second = Child(run)
    second.until("step", step=7)  # not so late that it may have begun to write checkpoint 9
    second.process.stdin.close()
    assert second.process.wait(timeout=120) != 0  # it did not go on to its end

    newest = max(
        (run / "checkpoints").glob("checkpoint-*/complete.json"),
        key=lambda path: path.stat().st_mtime,
    ).parent
    weights = newest / "adapter_model.safetensors"
    os.truncate(weights, weights.stat().st_size // 2)
    last = Child(run).end()

    assert figures(last) == figures(undisturbed)
    whole, resumed = losses(undisturbed), losses(last)
    assert min(losses(second.events)) > 1
    assert min(resumed) > 1
    assert resumed == {step: loss for step, loss in whole.items() if step in resumed}
    assert past(last) | resumed == whole, "what the killed ones may not have passed on is told"
    assert not newest.exists()


def test_a_reward_model_loads_and_its_mean_training_answer_scores_zero(place, undisturbed):
    import torch
    from transformers import AutoModelForSequenceClassification

    from modelops import recipes, rows
    from workers.modeling import scoring, tokens
    from workers.trainers import reward
    from workers.trainers.data import comparisons

    out = place / "undisturbed" / "out"
    model = AutoModelForSequenceClassification.from_pretrained(out).eval()
    tokenizer = tokens.load_tokenizer(out)
    found = [
        group
        for group in comparisons.of_rows(list(rows.read(place / "dataset")))
        if group.split == "train"
    ]
    recipe = recipes.read("reward", {})
    pad = tokenizer.pad_token_id
    answers = [
        reward.example(group, group.answers(tokenizer, 512), pad, recipe)["answers"]
        for group in found
    ]
    with torch.inference_mode():
        scores = [scoring.score(model, group, tokenizer.pad_token_id) for group in answers]

    assert abs(reward.train_mean(found, scores) - model.config.reward_shift) < 1e-4
    assert (out / "adapter" / "adapter_model.safetensors").exists()
    card = (out / "README.md").read_text()
    assert (
        "Trained by Podium (reward) from the model `model` on the frozen dataset `dataset`." in card
    )
    assert "| accuracy | held-out | " in card
    assert "| learning_rate | 0.005 |" in card
    assert str(place) not in card
    assert str(place) not in (out / "adapter" / "adapter_config.json").read_text()


def test_two_processes_learn_what_one_learns_from_steps_twice_as_large(place, undisturbed):
    """Each sees its own half of every step, the first alone speaks and writes."""
    run = make_run(place, "together", "reward", **REWARD, batch=2)
    config = Path(runs.__file__).parent / "launch" / "processes.yaml"
    port = str(random.randint(20000, 60000))
    launcher = [
        "-m",
        "accelerate.commands.launch",
        "--config_file",
        str(config),
        "--main_process_port",
        port,
        "-m",
    ]

    events = Child(run, *launcher).end()

    assert losses(events) == pytest.approx(losses(undisturbed), abs=1e-3)
    assert figures(events).keys() == figures(undisturbed).keys()
    assert figures(events)["loss", "held-out"] == pytest.approx(
        figures(undisturbed)["loss", "held-out"], abs=0.01
    )
    assert [event["event"] for event in events].count("done") == 1
    assert [event["event"] for event in events].count("start") == 1


def test_a_finished_run_only_tells_its_figures_again(place, undisturbed):
    again = Child(place / "undisturbed").end()
    assert figures(again) == figures(undisturbed)
    assert {event["event"] for event in again} == {"metric", "done"}


def test_a_model_tuned_on_rankings_is_whole_and_prefers_the_better_answers(place, tuned):
    """Its weights say of an answer what the base with the adapter beside it says, and not what the
    base alone does.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    out, ids = place / "tuned" / "out", torch.tensor([list(range(5, 45))])
    whole, info = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
    base = AutoModelForCausalLM.from_pretrained(place / "model")
    with torch.inference_mode():
        alone = base(ids).logits.log_softmax(-1)
        adapted = PeftModel.from_pretrained(base, out / "adapter")(ids).logits.log_softmax(-1)
        published = whole(ids).logits.log_softmax(-1)

    assert (published - adapted).abs().max() < 1e-4
    assert (published - alone).abs().max() > 0.1
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert figures(tuned)["accuracy", "held-out"] > 0.8
    assert losses(tuned)[1] == pytest.approx(0.6931, abs=1e-3)
    assert json.loads((out / "recipe.json").read_text())["settings"]["beta"] == 0.1
    assert (out / "adapter" / "adapter_config.json").exists()


def test_a_killed_dpo_run_ends_as_if_nothing_had_happened(place, tuned):
    run = make_run(place, "killed", "dpo", **DPO)
    first = Child(run)
    first.until("step", step=6)
    first.process.kill()
    first.process.wait()

    last = Child(run).end()

    assert figures(last) == figures(tuned)
    assert min(losses(last)) == 5


def test_a_tuned_model_can_be_trained_again_all_weights_included(place, tuned):
    run = make_run(
        place,
        "second-round",
        "sft",
        place / "tuned" / "out",
        learning_rate=0.002,
        epochs=2.0,
        lora=False,
    )

    events = Child(run).end()

    steps = losses(events)
    assert steps[max(steps)] < steps[1]
    assert not (run / "out" / "adapter").exists()


def test_demonstrations_are_imitated(place):
    dataset = place / "demonstrations"
    dataset.mkdir()
    turn = [{"role": "user", "content": "Why do people sing?"}]
    row = {
        "prompt_id": "1",
        "messages": turn,
        "split": "train",
        "use_case": "",
        "language": "en",
        "text": "Because!",
    }
    (dataset / "rows.jsonl").write_text("\n".join(json.dumps(row) for _ in range(8)))
    run = make_run(
        place, "imitated", "sft", source="demonstrations", epochs=3.0, learning_rate=0.01
    )
    recipe = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps({**recipe, "dataset": str(dataset)}))

    found = figures(Child(run).end())

    assert set(found) == {("loss", "train"), ("bfloat16_share", "weights")}
    assert found["loss", "train"] < 5.9


def test_a_child_says_what_to_do_about_an_error(place):
    run = make_run(place, "lost", "reward", model=place / "nowhere")
    child = Child(run)
    assert child.until("error")["text"].startswith("There is no model in")
    assert child.process.wait(timeout=120) == 1
