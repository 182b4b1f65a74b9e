"""Whether PPO raises the reward that a reward model gives, within its bound, and gains nothing where that is shuffled.

The same run is played twice, once with each round's rewards dealt out among its answers at random. A gain is that of the
mean reward of the same prompts, before and after, in standard deviations of the rewards in the first round. The kept
condition: a gain of at least 1 with the divergence below its bound, and none worth the name under the shuffled reward.

    python benchmarks/ppo.py --model var/models/smollm2-135m-instruct --reward FOLDER --prompts FILE --json figures.json

FOLDER is a reward model that has learned a planted preference, as those of `make loop` have; FILE holds a
`{"prompt": …}` a line. `--set NAME=VALUE` changes a setting of the recipe.
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
    "max_steps": 24,
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=ROOT / "var" / "models" / "smollm2-135m-instruct")
    parser.add_argument("--reward", type=Path, required=True, help="a reward model's folder")
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
        for side in ("planted", "shuffled"):
            run = make_run(Path(scratch), side, options, settings)
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


def make_run(scratch: Path, side: str, options: argparse.Namespace, settings: dict):
    from workers.trainers import runs

    os.environ.update(runs.ENVIRONMENT)  # torch is not loaded yet
    folder = scratch / side
    folder.mkdir()
    asked = {"model": options.model, "dataset": scratch / "prompts", "out": folder / "out"}
    others = {"reward_model": str(options.reward.resolve())}
    recipe = {"kind": "ppo", "settings": settings, "others": others} | {name: str(at) for name, at in asked.items()}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    return runs.read(folder / "recipe.json", "ppo")


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

    def __init__(self, side: str):
        super().__init__()
        self.side = side

    def write(self, text: str) -> int:
        if text.startswith('{"event": "step"'):
            step = json.loads(text)
            few = {name: round(step["metrics"][name], 3) for name in ("reward", "kl", "entropy", "clip_fraction")}
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
