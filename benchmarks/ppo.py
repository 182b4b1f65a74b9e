"""Whether PPO raises the reward that a reward model gives, within its bound, and gains nothing where that is shuffled.

The same run is played twice, once with each round's rewards dealt out among its answers at random. A gain is that of the
mean reward of the same prompts, before and after, in standard deviations of the rewards in the first round. The kept
condition: a gain of at least 1 with the divergence below its bound, and none worth the name under the shuffled reward.

    python benchmarks/ppo.py --model var/models/smollm2-135m-instruct --json figures.json

The reward model learns here, first, what the loop's hidden rule says of four answers to each prompt; `--reward FOLDER`
takes one that has learned a planted preference already, as those of `make loop` have. `--prompts FILE` holds a
`{"prompt": …}` a line; `--set NAME=VALUE` changes a setting of PPO's recipe.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SETTINGS = {
    "learning_rate": 2e-4,
    "value_learning_rate": 2e-4,
    "max_steps": 16,  # β follows the divergence by 2 % a round: it is past its target by then, and still rising
    "epochs": 1000.0,
    "rollouts": 32,
    "batch": 8,
    "max_tokens": 32,
    "max_length": 160,
    "beta": 0.05,
    "kl_target": 6.0,
    "save_steps": 1000,
}
BOUND = 12.0  # nats of an answer: twice the target
K = 4  # answers to a prompt, for the reward model
REWARD = {"epochs": 3.0, "learning_rate": 5e-4, "batch": 4, "max_length": 160, "save_steps": 1000}  # the loop's


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=ROOT / "var" / "models" / "smollm2-135m-instruct")
    parser.add_argument("--reward", type=Path, help="a reward model's folder; without one, it is learned here")
    parser.add_argument("--prompts", type=Path, default=ROOT / "benchmarks" / "loop_prompts.jsonl")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the recipe")
    parser.add_argument("--quick", action="store_true", help="four rounds: a trial, too short for the condition")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    settings = SETTINGS | ({"max_steps": 4} if options.quick else {}) | dict(map(setting, options.set))
    figures = measure(options, settings)
    for name, value in figures.items():
        print(f"{name:32}{value:12.3f}")
    if options.json:
        options.json.write_text(json.dumps(figures | {"settings": settings}, indent=1))


def setting(text: str) -> tuple[str, object]:
    name, value = text.split("=", 1)
    return name, json.loads(value)


def measure(options: argparse.Namespace, settings: dict) -> dict[str, float]:
    """The figures of both sides, by name."""
    found = {"kl_bound": BOUND}
    with tempfile.TemporaryDirectory() as scratch:
        write_rows(Path(scratch) / "prompts", options.prompts)
        if not options.reward:
            options.reward = learned(Path(scratch), options.model, settings["max_tokens"])
        for side in ("planted", "shuffled"):
            others = {"reward_model": options.reward}
            run = make_run(Path(scratch), side, options.model, Path(scratch) / "prompts", settings, **others)
            found |= {f"{side}_{name}": value for name, value in outcome(play(run, side)).items()}
    return found


def write_rows(folder: Path, file: Path) -> None:
    """The prompts of the training split, as a frozen dataset has them."""
    folder.mkdir()
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    with open(folder / "rows.jsonl", "w", encoding="utf-8") as out:
        for number, line in enumerate(line for line in lines if line.get("split", "train") == "train"):
            messages = line.get("messages") or [{"role": "user", "content": line["prompt"]}]
            out.write(json.dumps({"prompt_id": str(number), "split": "train", "messages": messages}) + "\n")


def learned(scratch: Path, model: Path, longest: int) -> Path:
    """A reward model of the loop's hidden rule, which ranks answers of the model's own, without noise."""
    from workers.trainers import runs

    os.environ.update(runs.ENVIRONMENT)  # torch is not loaded yet
    from benchmarks import hidden_rule
    from workers.engines.local import LocalEngine
    from workers.trainers import reward

    rows = [json.loads(line) for line in (scratch / "prompts" / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    engine = LocalEngine(model)
    asked = [row["messages"] for row in rows for _ in range(K)]
    texts = [one.text for one in engine.sample(asked, list(range(len(asked))), max_tokens=longest)]
    (scratch / "ranked").mkdir()
    with open(scratch / "ranked" / "rows.jsonl", "w", encoding="utf-8") as out:
        for number, row in enumerate(rows):
            mine = texts[K * number : K * (number + 1)]
            answers = [{"id": place, "text": text} for place, text in enumerate(mine)]
            ranks = hidden_rule.rank(mine, random.Random(number), noise=0)
            out.write(json.dumps(row | {"answers": answers, "judgments": [{"ranks": ranks}]}) + "\n")
    run = make_run(scratch, "reward", model, scratch / "ranked", REWARD)
    with contextlib.redirect_stdout(Told("reward", ("loss",))):
        reward.train(run)
    return run.out


def make_run(scratch: Path, name: str, model: Path, dataset: Path, settings: dict, **others: Path):
    """The run of a trainer in a folder of its own, "reward" or one of PPO's sides."""
    from workers.trainers import runs

    os.environ.update(runs.ENVIRONMENT)  # torch is not loaded yet
    folder = scratch / name
    folder.mkdir()
    kind = "reward" if name == "reward" else "ppo"
    recipe = {"kind": kind, "settings": settings, "model": str(model), "dataset": str(dataset)}
    recipe |= {"out": str(folder / "out"), "others": {name: str(at.resolve()) for name, at in others.items()}}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    return runs.read(folder / "recipe.json", kind)


def play(run, side: str) -> list[dict]:
    """Train here and now, with shuffled rewards on that side: the events, and the seconds it took."""
    from workers.trainers import ppo, ppo_models

    draw = random.Random(1)

    def shuffled(*args) -> list[float]:
        found = ppo_models.scores(*args)
        return draw.sample(found, len(found))

    ppo.scores = shuffled if side == "shuffled" else ppo_models.scores
    told, started = Told(side), time.perf_counter()
    with contextlib.redirect_stdout(told):
        ppo.train(run)
    events = [json.loads(line) for line in told.getvalue().splitlines()]
    return [*events, {"event": "seconds", "value": time.perf_counter() - started}]


class Told(io.StringIO):
    """Keeps what the trainer says, and shows its steps."""

    def __init__(self, side: str, shown: tuple[str, ...] = ("reward", "kl", "entropy", "clip_fraction")):
        super().__init__()
        self.side, self.shown = side, shown

    def write(self, text: str) -> int:
        if text.startswith('{"event": "step"'):
            step = json.loads(text)
            few = {name: round(step["metrics"][name], 3) for name in self.shown}
            print(f"{self.side} {step['step']} of {step['total']}: {few}", file=sys.stderr, flush=True)
        return super().write(text)


def outcome(events: list[dict]) -> dict[str, float]:
    """What a side's events come to."""
    steps = [event["metrics"] for event in events if event["event"] == "step"]
    final = {e["name"]: e for e in events if e["event"] == "metric" and e["slice"] == "train"}
    seconds = next(event["value"] for event in events if event["event"] == "seconds")
    spread = steps[0]["reward_spread"]
    return {
        "start_reward": final["start_reward"]["value"],
        "reward": final["reward"]["value"],
        "reward_low": final["reward"]["low"],
        "reward_high": final["reward"]["high"],
        "spread": spread,
        "gain": (final["reward"]["value"] - final["start_reward"]["value"]) / spread,
        "kl": final["kl"]["value"],
        "kl_most": max(step["kl"] for step in steps),
        "entropy_first": steps[0]["entropy"],
        "entropy_last": steps[-1]["entropy"],
        "explained_variance_last": steps[-1]["explained_variance"],
        "rounds": len(steps),
        "seconds_a_round": seconds / len(steps),
    }


if __name__ == "__main__":
    main()
