"""How fast a reward model learns: our K-wise trainer beside TRL's RewardTrainer on the same pairs.

A step is two prompts of 4 answers or one of 9, each answer with another rank, so 12 or 36 pairs. Both get the same tokens,
adapter, rates and number format; TRL's trainer runs with gradient checkpointing and without, and the faster one counts.
Each run is a process of its own, so that its peak memory is its own. Then both train a tiny model to the end on planted
preferences.

    python benchmarks/reward.py --model var/models/smollm2-135m-instruct --json figures.json
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SIDES = ("ours", "trl", "trl-checkpointing")
PROMPTS = {4: 2, 9: 1}  # of one step, for each K
PAIRS_AT_ONCE = 4  # of TRL's trainer in one forward pass; more is no faster here and takes more memory
STEPS = 3  # that are timed, after one that is not
WORDS = ["sea", "sky", "sun", "moon", "bird", "bread", "music", "flowers", "people", "clock", "poem", "mother"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=ROOT / "var" / "models" / "smollm2-135m-instruct")
    parser.add_argument("--quick", action="store_true", help="one timed step, and answers a quarter as long")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # one side of one comparison, in this process
    options = parser.parse_args()
    if options.one:
        side, k = options.one.split(":")
        return print(json.dumps(one(side, int(k), options.model, options.quick)))
    figures = compare(options)
    for name, value in figures.items():
        print(f"{name:28}{value:10.2f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def compare(options: argparse.Namespace) -> dict[str, float]:
    """All figures, each measured in a process of its own."""
    figures = {}
    for k in PROMPTS:
        ours, *theirs = (apart(f"{side}:{k}", options) for side in SIDES)
        fastest = min(theirs, key=lambda run: run["seconds"])
        figures[f"speedup_k{k}"] = fastest["seconds"] / ours["seconds"]
        for name, run in zip(SIDES, [ours, *theirs]):
            figures[f"seconds_{name}_k{k}"] = run["seconds"]
            figures[f"peak_mb_{name}_k{k}"] = run["peak_mb"]
        figures[f"memory_ratio_k{k}"] = ours["peak_mb"] / fastest["peak_mb"]
    # No K: to the end, on the tiny model
    return figures | {f"accuracy_{side}": apart(f"{side}:0", options)["accuracy"] for side in ("ours", "trl")}


def apart(one: str, options: argparse.Namespace) -> dict[str, float]:
    print(f"{one} ...", file=sys.stderr, flush=True)
    command = [sys.executable, __file__, "--one", one, "--model", str(options.model)]
    done = subprocess.run(command + ["--quick"] * options.quick, stdout=subprocess.PIPE, text=True, check=True)
    print(f"{one}: {done.stdout.splitlines()[-1]}", file=sys.stderr, flush=True)  # minutes lie between two of them
    return json.loads(done.stdout.splitlines()[-1])


def one(side: str, k: int, model: Path, quick: bool) -> dict[str, float]:
    """Steps' median seconds and the process's peak memory; with K = 0 the accuracy that the tiny model ends with."""
    with tempfile.TemporaryDirectory() as folder:
        if not k:
            return {"accuracy": learned(side, Path(folder))}
        steps = 1 + (1 if quick else STEPS)
        rows = timed_rows(k, longest=50 if quick else 200) * steps
        clock = trained(side, model, Path(folder), rows, batch=PROMPTS[k], learning_rate=1e-4)[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": statistics.median(clock.seconds[1:]), "peak_mb": peak}


def timed_rows(k: int, longest: int) -> list[dict]:
    """One step's prompts, each with K answers of many lengths and ranks 1 to K."""
    draw = random.Random(k)
    some = lambda low, high: " ".join(draw.choices(WORDS, k=draw.randint(low, high)))  # noqa: E731
    return [
        row(number, f"Tell me about {some(20, 40)}.", [some(longest // 4, longest) for _ in range(k)], range(1, k + 1))
        for number in range(PROMPTS[k])
    ]


def planted_rows(prompts: int = 150) -> list[dict]:
    """Answers that say yes are better than those that say no; every third prompt is held out."""
    draw, found = random.Random(0), []
    for number in range(prompts):
        sides = [draw.choice(["Yes", "No"]) for _ in range(2)] + ["Yes", "No"]
        answers = [f"{side}, " + " ".join(draw.choices(WORDS, k=draw.randint(2, 6))) for side in sides]
        ranks = [1 if side == "Yes" else 2 for side in sides]
        found.append(row(number, "Tell me about the " + draw.choice(WORDS), answers, ranks))
    return found


def row(number: int, prompt: str, answers: list[str], ranks) -> dict:
    return {
        "prompt_id": str(number),
        "messages": [{"role": "user", "content": prompt}],
        "split": "test" if number % 3 == 2 else "train",
        "answers": [{"id": i, "text": text} for i, text in enumerate(answers)],
        "judgments": [{"ranks": list(ranks)}],
    }


def learned(side: str, folder: Path) -> float:
    """Held-out accuracy of a tiny model trained to the end on the planted rule."""
    from tests.workers import tiny
    from workers.trainers import groups, reward, tokens

    rows = planted_rows()
    model = trained(side, tiny.save(folder / "tiny"), folder, rows, batch=4, learning_rate=5e-3, epochs=2.0)[0]
    tokenizer = tokens.load_tokenizer(folder / "tiny")
    found = groups.of_rows(rows)
    answers = [[prompt + answer for prompt, answer in group.answers(tokenizer, 512)] for group in found]
    scores = [reward.score(model, part, tokenizer.pad_token_id) for part in answers]
    return next(figure["value"] for figure in groups.accuracy(found, scores) if figure["slice"] == "held-out")


def trained(side: str, model: Path, folder: Path, rows: list[dict], **settings) -> tuple:
    """(model, clock) after one of the trainers has learned from the rows' training split, or all rows in the timed steps."""
    from peft import get_peft_model
    from transformers import AutoModelForSequenceClassification, set_seed

    from modelops import recipes
    from workers.trainers import groups, loop, reward, runs, tokens

    recipe = recipes.read("reward", settings | {"save_steps": 10**6})
    run = runs.Run(folder, "reward", recipe, model, folder, folder / "out")
    tokenizer = tokens.load_tokenizer(model)
    found = [group for group in groups.of_rows(rows) if group.split == "train"]
    set_seed(recipe.seed)
    scorer = loop.load(AutoModelForSequenceClassification, run, num_labels=1)
    scorer.config.pad_token_id = tokenizer.pad_token_id
    scorer.score.float()
    scorer = get_peft_model(scorer, loop.adapter(recipe, "SEQ_CLS", modules_to_save=["score"]))
    make = ours if side == "ours" else theirs
    examples = [reward.example(group, tokenizer, recipe) for group in found]
    trainer = make(scorer, tokenizer, run, examples, checkpointing=side.endswith("checkpointing"))
    trainer.args.train_sampling_strategy = "random" if "epochs" in settings else "sequential"  # timed: the same prompts
    clock = clocked(trainer)
    trainer.train()
    return trainer.model, clock


def ours(model, tokenizer, run, examples: list[dict], checkpointing: bool):
    from transformers import TrainingArguments

    from workers.trainers import loop, reward

    pad = tokenizer.pad_token_id
    return reward.RewardTrainer(
        model=model,
        args=loop.arguments(TrainingArguments, run, rows=len(examples), at_once=run.recipe.batch),
        train_dataset=examples,
        data_collator=lambda batch: {"micro_batches": reward.micro_batches(batch, pad, reward.budget())},
        processing_class=tokenizer,
    )


def theirs(model, tokenizer, run, examples: list[dict], checkpointing: bool):
    """TRL's trainer, given the same steps: the pairs of as many prompts, in passes of a few."""
    import dataclasses

    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    from workers.trainers import loop

    pairs = [
        {"chosen_ids": example["answers"][w], "rejected_ids": example["answers"][l]}
        for example in examples
        for w, l, *_ in example["pairs"]
    ]
    batch = max(PAIRS_AT_ONCE, round(run.recipe.batch * len(pairs) / len(examples) / PAIRS_AT_ONCE) * PAIRS_AT_ONCE)
    run = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, batch=batch))
    arguments = loop.arguments(RewardConfig, run, rows=len(pairs), at_once=PAIRS_AT_ONCE, max_length=None)
    arguments.gradient_checkpointing = checkpointing
    return RewardTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_list(pairs), processing_class=tokenizer
    )


def clocked(trainer):
    """A callback of the trainer that keeps the seconds of each step."""
    from transformers import PrinterCallback, TrainerCallback

    class Clock(TrainerCallback):
        def __init__(self):
            self.seconds = []

        def on_step_begin(self, *_, **__):
            self.started = time.perf_counter()

        def on_step_end(self, *_, **__):
            self.seconds.append(time.perf_counter() - self.started)

    clock = Clock()
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(clock)
    return clock


if __name__ == "__main__":
    main()
