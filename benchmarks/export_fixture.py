"""Datasets to export, and the exports themselves, in a process of its own; the last line printed is
what came of it.

python -m benchmarks.export_fixture fill FOLDER 1000000 0
python -m benchmarks.export_fixture render conversational.jsonl
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

SLUG, EMAIL, PASSWORD = "bench", "researcher@example.org", "only-for-the-benchmark"
SMALL = 100
DATASETS = (1, 2)  # the one of a hundred rows, and the one that is measured
K = 8


def fill(data: Path, comparisons: int, tasks: int) -> dict:
    """A database with a researcher and two datasets: of 100 comparisons, and of as many
    comparisons, or tasks.
    """
    from django.conf import settings
    from django.core.management import call_command

    from labeling import project_settings
    from people.models import Membership, User

    shutil.rmtree(settings.VAR, ignore_errors=True)
    settings.VAR.mkdir(parents=True)
    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    project = project_settings.make(slug=SLUG, name="Bench")
    Membership.objects.create(
        project=project, user=User.objects.create_user(EMAIL, PASSWORD), role="researcher"
    )
    answered = real(data)
    made = [register(project, answered, *size) for size in ((SMALL, 0), (comparisons, tasks))]
    return {"rows": made[1].counts["rows"], "pairs": made[1].counts["pairs"]}


def real(data: Path) -> list[tuple[str, list[str]]]:
    """(prompt, answers of eight models)."""
    files = sorted(next(data.rglob("predictions")).glob("*.jsonl"))[:K]
    lines = [
        [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        for file in files
    ]
    return [
        (rows[0]["prompt"], [row["response"].strip() for row in rows])
        for rows in zip(*lines, strict=True)
    ]


def register(project, answered: list, comparisons: int, tasks: int):
    """Rows as a freeze would leave them; not by way of the database, which is not what is measured
    here.
    """
    from labeling.exports.statistics import RowStatistics
    from modelops import datasets, rows

    statistics = RowStatistics()

    def lines() -> Iterator[str]:
        for row in judged(answered, comparisons, tasks):
            statistics.add(row, ["script"] * len(row["judgments"]))
            yield rows.canonical(row)

    digest, place = datasets.write(lines())
    return datasets.register(project, "judgments", digest, place, statistics.counts())[0]


def judged(answered: list, comparisons: int, tasks: int) -> Iterator[dict]:
    """Rankings without ties, drawn with a fixed seed, until there are enough pairs, or tasks."""
    from modelops import rows

    shuffle, made = random.Random(1), 0
    pairs = K * (K - 1) // 2
    for number in range(tasks or -(-comparisons // pairs)):
        prompt, texts = answered[number % len(answered)]
        messages = [{"role": "user", "content": prompt}]
        kept = K if tasks or comparisons - made >= pairs else answers_for(comparisons - made)
        made += kept * (kept - 1) // 2
        yield {
            "prompt_id": rows.digest([number, messages]),
            "messages": messages,
            "split": "train",
            "use_case": "",
            "language": "en",
            "judgments": [judgment(shuffle, number, kept)],
            "answers": [
                {
                    "id": n,
                    "text": text,
                    "model": f"model {n}",
                    "finish_reason": "stop",
                    "tokens": None,
                }
                for n, text in enumerate(texts[:kept])
            ],
        }


def answers_for(pairs: int) -> int:
    """The fewest answers that make so many pairs."""
    return next(k for k in range(2, K + 1) if k * (k - 1) // 2 >= pairs)


def judgment(shuffle: random.Random, number: int, k: int) -> dict:
    return {
        "labeler": number % 32,
        "kind": "simulated",
        "outcome": "ranked",
        "ranks": shuffle.sample(range(1, k + 1), k),
        "ratings": [None] * k,
        "flags": [[]] * k,
        "strength": None,
        "seconds": 20.0,
        "weight": 1.0,
    }


def render(what: str) -> dict:
    """Seconds of one rendering, and this process's memory: the most that it held before, and in the
    end.
    """
    from labeling.exports import downloads
    from modelops.models import Dataset

    format, _dot, file = what.partition(".")
    small, large = (Dataset.objects.select_related("project").get(pk=pk) for pk in DATASETS)
    for one in (small, large):
        downloads.path(one, downloads.choose(one, format, file)).unlink(missing_ok=True)
    downloads.make(small, downloads.choose(small, format, file))
    idle, began = peak(), time.perf_counter()
    made = downloads.make(large, downloads.choose(large, format, file))
    seconds = time.perf_counter() - began
    rows = large.counts["pairs" if format == "conversational" else "rows"]
    return {
        "rows": rows,
        "seconds": seconds,
        "idle": idle,
        "peak": peak(),
        "bytes": made.stat().st_size,
    }


def peak() -> int:
    """Bytes, of the process itself: getrusage may report its parent's, from before the exec."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def tasks() -> dict:
    """Where the file for Label Studio lies."""
    from labeling.exports import downloads
    from modelops.models import Dataset

    large = Dataset.objects.get(pk=DATASETS[1])
    return {"file": str(downloads.path(large, downloads.choose(large, "label-studio")))}


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django

    django.setup()
    verb, *said = sys.argv[1:]
    if verb == "fill":
        found = fill(Path(said[0]), int(said[1]), int(said[2]))
    else:
        found = {"render": render, "tasks": tasks}[verb](*said)
    print(json.dumps(found))
