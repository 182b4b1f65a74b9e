"""How fast a reward model learns: our K-wise trainer beside TRL's RewardTrainer on the same pairs.

A step is two prompts of 4 answers or one of 9, each answer with another rank, so 12 or 36 pairs.
Both get the same tokens, adapter, rates and number format; TRL's trainer runs with gradient
checkpointing and without, and the faster one counts. Each run is a process of its own, so that its
peak memory is its own. Then both train a tiny model to the end on planted preferences.

Last, the race to an equal accuracy: who trains on pairs seldom takes all of a ranking, so TRL's
trainer also learns from one, two and three pairs of each prompt, drawn once, and from all. An
answer is the better, the more words it has of a few that are liked. All take as many prompts a
step; every few steps the held-out pairs are ordered, off the clock, until ACCURACY is reached.

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
PAIRS_AT_ONCE = (
    4  # of TRL's trainer in one forward pass; more is no faster here and takes more memory
)
STEPS = 3  # that are timed, after one that is not
ACCURACY = 0.9  # of the held-out pairs: where the race ends; chosen before it was run
RACERS = ("ours", "trl-1", "trl-2", "trl-3", "trl-all")  # TRL with so many pairs of each prompt
RACE = {"prompts": 360, "k": 4, "batch": 4, "epochs": 2.0, "learning_rate": 3e-4}
ASKED = 5  # steps between two looks at the held-out pairs
LIKED = ["flowers", "music"]
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--model", type=Path, default=ROOT / "var" / "models" / "smollm2-135m-instruct"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one timed step, answers a quarter as long, no race"
    )
    parser.add_argument(
        "--race-only", action="store_true", help="only the race to an equal accuracy"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument(
        "--one", help=argparse.SUPPRESS
    )  # one side of one comparison, in this process
    options = parser.parse_args()
    if options.one:
        side, k = options.one.split(":")
        figures = (
            raced(side, options.model)
            if k == "race"
            else one(side, int(k), options.model, options.quick)
        )
        return print(json.dumps(figures))
    figures = {} if options.race_only else compare(options)
    if not options.quick:
        figures |= race(options)
    for name, value in figures.items():
        print(f"{name:36}{value:10.2f}" if value is not None else f"{name:36}not reached")
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
    return figures | {
        f"accuracy_{side}": apart(f"{side}:0", options)["accuracy"] for side in ("ours", "trl")
    }


def race(options: argparse.Namespace) -> dict[str, float | None]:
    """Seconds and steps to the accuracy, None where it was not reached, and how many times faster
    ours was.
    """
    found = {side: apart(f"{side}:race", options) for side in RACERS}
    figures = {
        f"{name}_to_accuracy_{side}": run[name]
        for side, run in found.items()
        for name in ("seconds", "steps")
    }
    figures |= {f"best_accuracy_{side}": run["best_accuracy"] for side, run in found.items()}
    ours, *theirs = (found[side]["seconds"] for side in RACERS)
    arrived = [seconds for seconds in theirs if seconds is not None]
    return figures | {
        "speedup_to_accuracy": min(arrived) / ours if arrived and ours is not None else None
    }


def apart(one: str, options: argparse.Namespace) -> dict[str, float]:
    print(f"{one} ...", file=sys.stderr, flush=True)
    command = [sys.executable, __file__, "--one", one, "--model", str(options.model)]
    done = subprocess.run(
        command + ["--quick"] * options.quick, stdout=subprocess.PIPE, text=True, check=True
    )
    print(
        f"{one}: {done.stdout.splitlines()[-1]}", file=sys.stderr, flush=True
    )  # minutes lie between two of them
    return json.loads(done.stdout.splitlines()[-1])


def one(side: str, k: int, model: Path, quick: bool) -> dict[str, float]:
    """Steps' median seconds and the process's peak memory; with K = 0 the accuracy that the tiny
    model ends with.
    """
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
        row(
            number,
            f"Tell me about {some(20, 40)}.",
            [some(longest // 4, longest) for _ in range(k)],
            range(1, k + 1),
        )
        for number in range(PROMPTS[k])
    ]


def planted_rows(prompts: int = 150) -> list[dict]:
    """Answers that say yes are better than those that say no; every third prompt is held out."""
    draw, found = random.Random(0), []
    for number in range(prompts):
        sides = [draw.choice(["Yes", "No"]) for _ in range(2)] + ["Yes", "No"]
        answers = [
            f"{side}, " + " ".join(draw.choices(WORDS, k=draw.randint(2, 6))) for side in sides
        ]
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


def raced(side: str, model: Path) -> dict[str, float | None]:
    """Seconds and steps that one of RACERS took to ACCURACY, and its best accuracy."""
    rows = liked_rows(RACE["prompts"], RACE["k"])
    settings = {name: RACE[name] for name in ("batch", "epochs", "learning_rate")}
    seen: list[float] = []

    def ask(trainer, clock) -> bool:
        if len(clock.seconds) % ASKED == 0:
            seen.append(held_out_accuracy(trainer.model, trainer.processing_class, rows))
            print(
                f"{side}: {sum(clock.seconds):.0f} s, {seen[-1]:.3f}", file=sys.stderr, flush=True
            )
        return bool(seen) and seen[-1] >= ACCURACY

    with tempfile.TemporaryDirectory() as folder:
        clock = trained(side, model, Path(folder), rows, until=ask, **settings)[1]
    arrived = seen[-1] >= ACCURACY
    return {
        "seconds": sum(clock.seconds) if arrived else None,
        "steps": len(clock.seconds) if arrived else None,
        "best_accuracy": max(seen),
    }


def liked_rows(prompts: int, k: int) -> list[dict]:
    """Answers of 24 words, of which 0 to 7 are liked, in each answer to a prompt another number;
    more is better.
    """
    draw, found = random.Random(1), []
    others = [word for word in WORDS if word not in LIKED]
    for number in range(prompts):
        counts = draw.sample(range(8), k)
        texts = [
            draw.choices(LIKED, k=count) + draw.choices(others, k=24 - count) for count in counts
        ]
        for words in texts:
            draw.shuffle(words)
        ranks = [1 + sum(other > count for other in counts) for count in counts]
        prompt = f"Tell me about the {draw.choice(WORDS)}."
        found.append(row(number, prompt, [" ".join(words) + "." for words in texts], ranks))
    return found


def learned(side: str, folder: Path) -> float:
    """Held-out accuracy of a tiny model trained to the end on the planted rule."""
    from tests.workers import tiny
    from workers.modeling import tokens

    rows = planted_rows()
    model = trained(
        side, tiny.save(folder / "tiny"), folder, rows, batch=4, learning_rate=5e-3, epochs=2.0
    )[0]
    return held_out_accuracy(model, tokens.load_tokenizer(folder / "tiny"), rows)


def held_out_accuracy(model, tokenizer, rows: list[dict]) -> float:
    """The share of the held-out pairs that the model puts in the right order."""
    from workers.modeling import scoring
    from workers.trainers.data import comparisons

    found = [group for group in comparisons.of_rows(rows) if group.split != "train"]
    answers = [
        [prompt + answer for prompt, answer in group.answers(tokenizer, 512)] for group in found
    ]
    scores = [scoring.score(model, part, tokenizer.pad_token_id) for part in answers]
    return next(
        figure["value"]
        for figure in comparisons.accuracy(found, scores)
        if figure["slice"] == "held-out"
    )


def trained(
    side: str, model: Path, folder: Path, rows: list[dict], until=None, **settings
) -> tuple:
    """(model, clock) after one of the trainers has learned from the rows' training split, or all
    rows in the timed steps.

    `until` is called with the trainer and its clock after each step, and says whether it ends
    there.
    """
    from peft import get_peft_model
    from transformers import AutoModelForSequenceClassification, set_seed

    from modelops import recipes
    from workers.modeling import tokens
    from workers.modeling.weights import use_float32_head
    from workers.trainers import reward
    from workers.trainers.data import comparisons
    from workers.trainers.run import loop, runs

    recipe = recipes.read("reward", settings | {"save_steps": 10**6})
    run = runs.Run(folder, "reward", recipe, model, folder, folder / "out")
    tokenizer = tokens.load_tokenizer(model)
    found = [group for group in comparisons.of_rows(rows) if group.split == "train"]
    set_seed(recipe.seed)
    scorer = loop.load(AutoModelForSequenceClassification, run, num_labels=1)
    scorer.config.pad_token_id = tokenizer.pad_token_id
    use_float32_head(scorer)
    scorer = get_peft_model(scorer, loop.adapter(recipe, "SEQ_CLS", modules_to_save=["score"]))
    make = ours if side == "ours" else theirs
    pad = tokenizer.pad_token_id
    examples = [
        reward.example(group, group.answers(tokenizer, recipe.max_length), pad, recipe)
        for group in found
    ]
    part = side.removeprefix("trl-")
    if part.isdigit():
        examples = [
            some_pairs(example, int(part), number) for number, example in enumerate(examples)
        ]
    trainer = make(scorer, tokenizer, run, examples, checkpointing=side.endswith("checkpointing"))
    trainer.args.train_sampling_strategy = (
        "random" if "epochs" in settings else "sequential"
    )  # timed: the same prompts
    clock = clocked(trainer, until)
    trainer.train()
    return trainer.model, clock


def some_pairs(example: dict, count: int, seed: int) -> dict:
    """The example with so many of its pairs, drawn at random."""
    pairs = random.Random(seed).sample(example["pairs"], min(count, len(example["pairs"])))
    return example | {"pairs": pairs}


def ours(model, tokenizer, run, examples: list[dict], checkpointing: bool):
    from transformers import TrainingArguments

    from workers.modeling import scoring
    from workers.trainers import reward
    from workers.trainers.run import loop

    pad = tokenizer.pad_token_id
    return reward.RewardTrainer(
        model=model,
        args=loop.arguments(TrainingArguments, run, rows=len(examples), at_once=run.recipe.batch),
        train_dataset=examples,
        data_collator=lambda batch: {
            "micro_batches": reward.micro_batches(batch, pad, scoring.budget())
        },
        processing_class=tokenizer,
    )


def theirs(model, tokenizer, run, examples: list[dict], checkpointing: bool):
    """TRL's trainer, given the same steps: the pairs of as many prompts, in passes of a few."""
    import dataclasses

    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    from workers.trainers.run import loop

    pairs = [
        {"chosen_ids": example["answers"][w], "rejected_ids": example["answers"][l]}
        for example in examples
        for w, l, *_ in example["pairs"]
    ]
    batch = max(
        PAIRS_AT_ONCE,
        round(run.recipe.batch * len(pairs) / len(examples) / PAIRS_AT_ONCE) * PAIRS_AT_ONCE,
    )
    run = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, batch=batch))
    arguments = loop.arguments(
        RewardConfig, run, rows=len(pairs), at_once=PAIRS_AT_ONCE, max_length=None
    )
    arguments.gradient_checkpointing = checkpointing
    return RewardTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(pairs),
        processing_class=tokenizer,
    )


def clocked(trainer, until=None):
    """A callback of the trainer that keeps the seconds of each step, and ends where `until` says
    so.
    """
    from transformers import PrinterCallback, TrainerCallback

    class Clock(TrainerCallback):
        def __init__(self):
            self.seconds = []

        def on_step_begin(self, *_, **__):
            self.started = time.perf_counter()

        def on_step_end(self, _arguments, _state, control, **__):
            self.seconds.append(time.perf_counter() - self.started)
            if until is not None and until(trainer, self):
                control.should_training_stop = True

    clock = Clock()
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(clock)
    return clock


if __name__ == "__main__":
    main()
