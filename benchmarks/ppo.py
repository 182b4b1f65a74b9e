"""Whether PPO makes answers better, or only their score: reward model (proxy) and hidden rule
(gold), over divergence.

A reward model learns what the loop's hidden rule says of four answers to each training prompt. PPO
then learns from it on the same prompts, and every few rounds the policy answers fresh ones, which
neither has seen: their mean reward, what the rule itself says of them, and how far the policy has
come, are a point of the over-optimisation curve of Gao et al. 2022 (Scaling laws for reward model
overoptimization). Best-of-n by the same reward model on the same prompts stands beside it; its
divergence is log n − (n − 1) / n, and its means are unbiased over all draws (Nakano et al. 2021).

Three runs: `planted` steers β to a target, as one would; `shuffled` is the same with each round's
rewards dealt out among its answers at random; `free` pays nothing for divergence, until the stop.
Both stops, rounds and divergence, stand below and were chosen before any run. Kept conditions:
planted gains at least a standard deviation of the first round's rewards with its divergence below
its bound, shuffled gains none worth the name.

    python benchmarks/ppo.py --model var/models/smollm2-135m-instruct --json figures.json
    python benchmarks/ppo.py --quick    # a tiny model with random weights, to see that it runs

`--reward FOLDER` takes a reward model that has learned the rule already, as those of `make loop`
have. `--prompts FILE` holds a `{"prompt": …, "split": …}` a line: PPO learns from those of the
split train, the first of the others choose the round that is published, and the rest are the fresh
ones. `--set NAME=VALUE` changes a setting of PPO's recipe.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
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
    "max_steps": 16,
    "eval_steps": 2,
    "epochs": 1000.0,
    "rollouts": 32,
    "batch": 8,
    # most answers are cut there, so that to penalise it would leave nothing else to learn
    "max_tokens": 32,
    "penalise_cut": False,
    "max_length": 160,
    "beta": 0.05,
    "kl_target": 6.0,
    "kl_stop": 12.0,
    "save_steps": 1000,
}
FREE = {"max_steps": 32, "beta": 0.0, "kl_target": 0.0, "kl_stop": 40.0}
QUICK = {
    "max_steps": 16,
    "rollouts": 48,
    "max_tokens": 12,
    "learning_rate": 0.01,
    "lora": False,
    "eval_steps": 4,
}
QUICK_FREE = {"max_steps": 32}
SIDES = ("planted", "shuffled", "free")
BOUND = 12.0  # nats of an answer: twice the target
K = 4  # answers to a prompt, for the reward model
REWARD = {
    "epochs": 3.0,
    "learning_rate": 5e-4,
    "batch": 4,
    "max_length": 160,
    "save_steps": 1000,
}  # the loop's
CHOOSING = 16  # prompts that choose the round that is published
DRAWS = 2  # answers of a policy to each fresh prompt, for a point of the curve
BEST_OF = (1, 2, 4, 8, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--model",
        type=Path,
        help="a policy's folder; the default model, or with --quick a tiny one",
    )
    parser.add_argument(
        "--reward", type=Path, help="a reward model's folder; without one, it is learned here"
    )
    parser.add_argument("--prompts", type=Path, default=ROOT / "benchmarks" / "loop_prompts.jsonl")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the recipe"
    )
    parser.add_argument(
        "--sides", default=",".join(SIDES), help="which of the runs, with commas between"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a few rounds of a tiny model, too short for the condition",
    )
    parser.add_argument("--json", type=Path, help="write the figures and the curve here")
    options = parser.parse_args()
    told = measure(options, settings_of(options))
    print_curve(told["curve"])
    for name, value in told["figures"].items():
        print(f"{name:32}{value:12.3f}")
    if options.json:
        flat = told["figures"] | {name: told[name] for name in ("settings", "curve")}
        options.json.write_text(json.dumps(flat, indent=1))


def settings_of(options: argparse.Namespace) -> dict[str, dict]:
    """The recipe's settings of each side."""
    quick, quick_free = (QUICK, QUICK_FREE) if options.quick else ({}, {})
    asked = dict(map(setting, options.set))
    own = SETTINGS | quick
    each = {"planted": own, "shuffled": own, "free": own | FREE | quick_free}
    return {side: each[side] | asked for side in options.sides.split(",")}


def setting(text: str) -> tuple[str, object]:
    name, value = text.split("=", 1)
    return name, json.loads(value)


def measure(options: argparse.Namespace, settings: dict[str, dict]) -> dict:
    """The figures of all sides by name, the points of the curve, and the settings."""
    figures, curve = {"kl_bound": BOUND}, []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        model = options.model or (tiny_model(scratch) if options.quick else default_model())
        fresh = write_rows(scratch, options.prompts, options.quick)
        longest = next(iter(settings.values()))["max_tokens"]
        judge = (options.reward or learned(scratch, model, longest)).resolve()
        curve += best_of(model, judge, fresh, longest, n=4 if options.quick else max(BEST_OF))
        for side, told in settings.items():
            run = make_run(scratch, side, model, scratch / "prompts", told, reward_model=judge)
            events, points = play(run, side, fresh)
            figures |= {f"{side}_{name}": value for name, value in outcome(events, points).items()}
            curve += points
    return {"figures": figures | laws(curve), "curve": curve, "settings": settings}


def default_model() -> Path:
    return ROOT / "var" / "models" / "smollm2-135m-instruct"


def tiny_model(scratch: Path) -> Path:
    """A model with random weights: what it says is noise, and that the benchmark runs is all that
    it shows.
    """
    prepare()
    from tests.workers import tiny

    return tiny.save(scratch / "tiny")


def prepare() -> None:
    """What a trainer's process has set before torch is loaded."""
    from workers.trainers.run import runs

    os.environ.update(runs.ENVIRONMENT)


def write_rows(scratch: Path, file: Path, quick: bool) -> list[dict]:
    """Write the prompts to learn from, and to choose a round by, as a frozen dataset has them; the
    fresh ones.
    """
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    rows = [
        {
            "prompt_id": str(number),
            "split": "train" if line.get("split", "train") == "train" else "test",
            "messages": line.get("messages") or [{"role": "user", "content": line["prompt"]}],
        }
        for number, line in enumerate(lines)
    ]
    to_learn = [row for row in rows if row["split"] == "train"]
    rest = [row for row in rows if row["split"] != "train"]
    choosing = [row | {"split": "validation"} for row in rest[:CHOOSING]]
    fresh = rest[CHOOSING : CHOOSING + 8] if quick else rest[CHOOSING:]
    if not fresh:
        sys.exit(
            f"{file} has no more than {CHOOSING} prompts outside the training split: none is left "
            "to measure on."
        )
    (scratch / "prompts").mkdir()
    text = "".join(json.dumps(row) + "\n" for row in to_learn + choosing)
    (scratch / "prompts" / "rows.jsonl").write_text(text, encoding="utf-8")
    return fresh


def learned(scratch: Path, model: Path, longest: int) -> Path:
    """A reward model of the loop's hidden rule, which ranks answers of the model's own, without
    noise.
    """
    prepare()
    from benchmarks import hidden_rule
    from workers.engines.local import LocalEngine
    from workers.trainers import reward

    rows = [
        json.loads(line)
        for line in (scratch / "prompts" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    engine = LocalEngine(model)
    asked = [row["messages"] for row in rows for _ in range(K)]
    samples = engine.sample(asked, list(range(len(asked))), max_tokens=longest)
    (scratch / "ranked").mkdir()
    with open(scratch / "ranked" / "rows.jsonl", "w", encoding="utf-8") as out:
        for number, row in enumerate(rows):
            mine = samples[K * number : K * (number + 1)]
            answers = [
                {"id": place, "text": sample.text, "finish_reason": sample.finish_reason}
                for place, sample in enumerate(mine)
            ]
            ranks = hidden_rule.rank(
                [sample.text for sample in mine], random.Random(number), noise=0
            )
            out.write(
                json.dumps(row | {"answers": answers, "judgments": [{"ranks": ranks}]}) + "\n"
            )
    run = make_run(scratch, "reward", model, scratch / "ranked", REWARD)
    with contextlib.redirect_stdout(Told("reward", ("loss",))):
        reward.train(run)
    return run.out


def make_run(scratch: Path, name: str, model: Path, dataset: Path, settings: dict, **others: Path):
    """The run of a trainer in a folder of its own, "reward" or one of PPO's sides."""
    prepare()
    from workers.trainers.run import runs

    folder = scratch / name
    folder.mkdir()
    kind = "reward" if name == "reward" else "ppo"
    recipe = {"kind": kind, "settings": settings, "model": str(model), "dataset": str(dataset)}
    recipe |= {"out": str(folder / "out"), "others": {name: str(at) for name, at in others.items()}}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    return runs.read(folder / "recipe.json", kind)


# --- The runs -------------------------------------------------------------------------------------


def play(run, side: str, fresh: list[dict]) -> tuple[list[dict], list[dict]]:
    """Train here and now: the events, with the seconds it took, and the points of the curve."""
    from workers.trainers import ppo, ppo_models

    draw = random.Random(1)

    def shuffled(*args) -> list[float]:
        found = ppo_models.scores(*args)
        return draw.sample(found, len(found))

    told, points, started = Told(side), [], time.perf_counter()
    scores, ppo.scores = ppo.scores, shuffled if side == "shuffled" else ppo_models.scores
    try:
        with contextlib.redirect_stdout(told), watched(side, fresh, points):
            ppo.train(run)
    finally:
        ppo.scores = scores
    events = [json.loads(line) for line in told.getvalue().splitlines()]
    return [*events, {"event": "seconds", "value": time.perf_counter() - started}], points


@contextlib.contextmanager
def watched(side: str, fresh: list[dict], points: list[dict]):
    """Whenever the trainer evaluates its policy, let it answer the fresh prompts too: a point of
    the curve.
    """
    from workers.engines.answers import row_seed
    from workers.trainers import ppo_choice

    evaluate = ppo_choice.Choice.evaluate
    asked = fresh * DRAWS
    seeds = [row_seed(1, row["prompt_id"], place // len(fresh)) for place, row in enumerate(asked)]

    def evaluates(choice, number: int) -> dict[str, float]:
        found = ppo_choice.examine(choice.models, asked, seeds, choice.recipe)
        kl = sum(found.kl) / len(found.kl)
        point = {"policy": side, "round": number, "kl": kl}
        points.append(
            point | means([sample.text for sample in found.samples], found.rewards, len(fresh))
        )
        return evaluate(choice, number)

    ppo_choice.Choice.evaluate = evaluates
    try:
        yield
    finally:
        ppo_choice.Choice.evaluate = evaluate


def means(texts: list[str], rewards: list[float], prompts: int) -> dict[str, float]:
    """Mean proxy and gold of answers to so many prompts, by turns, with intervals that draw whole
    prompts.
    """
    from benchmarks import hidden_rule
    from workers.trainers.run import metrics

    found = {}
    for name, values in (("proxy", rewards), ("gold", [hidden_rule.score(text) for text in texts])):
        each = [
            sum(values[prompt::prompts]) / len(values[prompt::prompts]) for prompt in range(prompts)
        ]
        low, high = metrics.interval(each, [1] * prompts)
        found |= {name: sum(each) / prompts, f"{name}_low": low, f"{name}_high": high}
    return found


class Told(io.StringIO):
    """Keeps what the trainer says, and shows its steps."""

    def __init__(
        self,
        side: str,
        shown: tuple[str, ...] = ("reward", "kl", "beta", "entropy", "clip_fraction"),
    ):
        super().__init__()
        self.side, self.shown = side, shown

    def write(self, text: str) -> int:
        if text.startswith('{"event": "step"'):
            step = json.loads(text)
            # A round that passes the stop teaches nothing, and has no such figures.
            few = {
                name: round(step["metrics"][name], 3)
                for name in self.shown
                if name in step["metrics"]
            }
            print(
                f"{self.side} {step['step']} of {step['total']}: {few}", file=sys.stderr, flush=True
            )
        if text.startswith('{"event": "log"'):
            print(f"{self.side}: {json.loads(text)['text']}", file=sys.stderr, flush=True)
        return super().write(text)


def outcome(events: list[dict], points: list[dict]) -> dict[str, float]:
    """What a side's events and its points of the curve come to."""
    steps = [event["metrics"] for event in events if event["event"] == "step"]
    final = {e["name"]: e for e in events if e["event"] == "metric" and e["slice"] in ("train", "")}
    seconds = next(event["value"] for event in events if event["event"] == "seconds")
    spread = steps[0]["reward_spread"]
    published = int(final["published_round"]["value"])
    start, chosen, last = points[0], next(p for p in points if p["round"] == published), points[-1]
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
        "commonest_share_last": steps[-1]["commonest_share"],
        "distinct_2_first": steps[0]["distinct_2"],
        "distinct_2_last": steps[-1]["distinct_2"],
        "rounds": len(steps),
        "seconds_a_round": seconds / len(steps),
        "published_round": published,
        "fresh_proxy_change": chosen["proxy"] - start["proxy"],
        "fresh_gold_change": chosen["gold"] - start["gold"],
        "fresh_proxy_change_last": last["proxy"] - start["proxy"],
        "fresh_gold_change_last": last["gold"] - start["gold"],
    }


# --- Best of n, and the curve ---------------------------------------------------------------------


def best_of(model: Path, judge: Path, fresh: list[dict], longest: int, n: int) -> list[dict]:
    """A point for each best-of-n up to n, from n draws for each fresh prompt."""
    from workers.engines.answers import row_seed
    from workers.engines.best_of import Scorer
    from workers.engines.local import LocalEngine

    asked = [row for row in fresh for _ in range(n)]
    seeds = [row_seed(2, row["prompt_id"], place % n) for place, row in enumerate(asked)]
    talks = [row["messages"] for row in asked]
    draw = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_tokens": longest}  # as PPO draws
    samples = LocalEngine(model).sample(talks, seeds, **draw)
    rewards = Scorer(judge).rewards(talks, samples)
    texts = [sample.text for sample in samples]
    draws = [list(zip(rewards[at : at + n], texts[at : at + n])) for at in range(0, len(asked), n)]
    return [best_of_point(draws, m) for m in BEST_OF if m <= n]


def best_of_point(draws: list[list[tuple[float, str]]], m: int) -> dict:
    """The mean proxy and gold of the best of m of each prompt's n draws, over all choices of m
    among them.

    Sorted by proxy, the i-th of n draws is the best of C(i − 1, m − 1) of the C(n, m) choices.
    """
    from benchmarks import hidden_rule
    from workers.trainers.run import metrics

    point = {"policy": "best of n", "n": m, "kl": math.log(m) - (m - 1) / m}
    each = {"proxy": [], "gold": []}
    for mine in draws:
        ordered = sorted(mine, key=lambda draw: draw[0])
        weights = [math.comb(place, m - 1) / math.comb(len(mine), m) for place in range(len(mine))]
        each["proxy"].append(sum(weight * reward for weight, (reward, _) in zip(weights, ordered)))
        each["gold"].append(
            sum(weight * hidden_rule.score(text) for weight, (_, text) in zip(weights, ordered))
        )
    for name, values in each.items():
        low, high = metrics.interval(values, [1] * len(values))
        point |= {name: sum(values) / len(values), f"{name}_low": low, f"{name}_high": high}
    return point


def laws(curve: list[dict]) -> dict[str, float]:
    """Gao et al. 2022, equations 1 and 2, fitted to the gold's change: d (α − β d) for best-of-n, d
    (α − β log d) for PPO, where d = √KL; no law where there are fewer than three points beyond the
    start.
    """
    import numpy

    found = {}
    for policy, shape in (("best of n", lambda d: d), ("planted", numpy.log), ("free", numpy.log)):
        points = [point for point in curve if point["policy"] == policy]
        away = [point for point in points[1:] if point["kl"] > 0.01]
        if len(away) < 3:
            continue
        d = numpy.sqrt([point["kl"] for point in away])
        change = numpy.array([point["gold"] for point in away]) - points[0]["gold"]
        (alpha, beta), *_ = numpy.linalg.lstsq(
            numpy.stack([d, -d * shape(d)], 1), change, rcond=None
        )
        name = policy.replace(" ", "_")
        found |= {f"{name}_gold_alpha": float(alpha), f"{name}_gold_beta": float(beta)}
    return found


def print_curve(curve: list[dict]) -> None:
    """The points as a table."""
    print(f"{'policy':12}{'round, n':>10}{'KL':>8}{'proxy':>9}{'95 %':>18}{'gold':>9}{'95 %':>18}")
    for point in curve:
        at = point.get("round", point.get("n"))
        both = (
            f"{point[f'{name}_low']:.3f} to {point[f'{name}_high']:.3f}"
            for name in ("proxy", "gold")
        )
        proxy, gold = both
        print(
            f"{point['policy']:12}{at:>10}{point['kl']:>8.2f}"
            f"{point['proxy']:>9.3f}{proxy:>18}{point['gold']:>9.3f}{gold:>18}"
        )
    print()


if __name__ == "__main__":
    main()
