r"""A reward model from real people's rankings: Open-Assistant trees, held-out accuracy beside
picking the longer answer.

The trees are imported, frozen and trained on by the project's own verbs and trainer, in a data
folder of its own.

    python benchmarks/human_rankings.py --data FOLDER \
        --model var/models/smollm2-135m-instruct --json figures.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = {"epochs": 1.0, "learning_rate": 1e-4, "batch": 4, "max_length": 512}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="a folder with Open-Assistant's en_100_tree.jsonl"
    )
    parser.add_argument(
        "--model", type=Path, default=ROOT / "var" / "models" / "smollm2-135m-instruct"
    )
    parser.add_argument("--quick", action="store_true", help="eight optimiser steps")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="podium-human-") as scratch:
        dataset, counts = freeze(Path(scratch), next(options.data.rglob("en_100_tree.jsonl")))
        figures = counts | train(Path(scratch), dataset, options.model.resolve(), options.quick)
    for name, value in figures.items():
        print(f"{name:44}{value:12.4g}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def freeze(var: Path, trees: Path) -> tuple[Path, dict]:
    """Import and freeze in a fresh database; returns the dataset's folder and counts."""
    os.environ |= {
        "PODIUM_VAR": str(var),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": "",
    }
    sys.path.insert(0, str(ROOT))
    import django

    django.setup()
    from django.core.management import call_command

    from benchmarks.roundtrip import LEFT_OUT
    from labeling import imports, project_settings
    from labeling.exports.freeze import freeze_now
    from modelops import datasets

    call_command("migrate", verbosity=0)
    project = project_settings.make(slug="people", name="People")
    started = time.perf_counter()
    imported = imports.import_file(
        None, project, trees, "open-assistant", leave_out=LEFT_OUT["open-assistant"]
    )
    seconds = time.perf_counter() - started
    dataset = freeze_now(None, project)
    counts = {
        "import_seconds": seconds,
        "groups": imported.rankings,
        "pairs": dataset.counts["pairs"],
    }
    return datasets.path(dataset), counts


def write_recipe(run: Path, dataset: Path, model: Path, quick: bool) -> Path:
    """The trainer's recipe in a run's folder."""
    run.mkdir(exist_ok=True)
    settings = SETTINGS | ({"max_steps": 8} if quick else {})
    asked = {"model": str(model), "dataset": str(dataset), "out": str(run / "out")}
    (run / "recipe.json").write_text(json.dumps({"kind": "reward", "settings": settings} | asked))
    return run / "recipe.json"


def train(var: Path, dataset: Path, model: Path, quick: bool) -> dict:
    """Run the trainer as a worker would; returns its figures, and the child's time and memory."""
    recipe = write_recipe(var / "run", dataset, model, quick)
    started, steps, figures = time.perf_counter(), [], {}
    child = subprocess.Popen(
        [sys.executable, "-m", "workers.trainers.reward", str(recipe)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in child.stdout:
        event = json.loads(line)
        if event["event"] == "step":
            steps.append(time.perf_counter())
        elif event["event"] == "metric":
            figures |= named(event)
        elif event["event"] == "error":
            raise SystemExit(event["text"])
    child.wait()
    per_step = (steps[-1] - steps[0]) / max(1, len(steps) - 1)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return figures | {
        "steps": len(steps),
        "epoch_seconds": per_step * len(steps),
        "whole_run_seconds": time.perf_counter() - started,
        "peak_rss_mb": peak,
    }


def named(event: dict) -> dict:
    name = f"{event['slice'] or 'all'}_{event['name']}"
    ends = {"": event["value"], "_low": event.get("low"), "_high": event.get("high")}
    return {name + end: value for end, value in ends.items() if value is not None}


if __name__ == "__main__":
    main()
