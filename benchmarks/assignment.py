"""How long a labeler waits for a task, and for a submit, as the queue grows to a million tasks.

Threads of one process claim and submit through the project's own verbs, with no think time, against a real database:
SQLite, or PostgreSQL by DATABASE_URL (an empty database that may be filled). Afterwards every task is checked: nobody
may have got past its overlap, nor one labeler a task twice.

    python benchmarks/assignment.py --quick --json figures.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "var" / "benchmarks" / "assignment"
SIZES = (1_000, 100_000, 1_000_000)
K, OVERLAP, PEOPLE = 4, 3, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer pairs a measurement; still all sizes")
    parser.add_argument(
        "--data", type=Path, help="taken for the other benchmarks' sake; this one needs no outside data"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--completion", default="depth", choices=["depth", "breadth"], help="order of the tasks")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    pairs = 300 if options.quick else 2_000
    if options.one:
        print(json.dumps(measure(options.one, pairs, options.completion)))
        return
    results = {size: in_own_process(size, options) for size in SIZES}
    print(table(results))
    if options.json:
        options.json.write_text(json.dumps(flat(results), indent=1))


def in_own_process(size: int, options) -> dict:
    """Settings are read once a process, so each size has one."""
    var = CACHE / str(size)
    var.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        __file__,
        "--one",
        str(size),
        "--completion",
        options.completion,
        *(["--quick"] if options.quick else []),
    ]
    environment = os.environ | {"PODIUM_VAR": str(var), "PYTHONPATH": str(ROOT)}
    out = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out.splitlines()[-1])


def measure(size: int, pairs: int, completion: str) -> dict:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    prepare(size)
    from people.models import Project

    Project.objects.update(completion=completion)
    members = memberships()
    alone = run(members[:1], pairs)
    together = run(members, pairs)
    return {
        "claim_ms": 1000 * statistics.median(alone["claim"]),
        "claim_p95_ms": 1000 * statistics.quantiles(alone["claim"], n=20)[-1],
        "submit_ms": 1000 * statistics.median(alone["submit"]),
        "pairs_per_second_c1": len(alone["claim"]) / alone["seconds"],
        "pairs_per_second_c8": len(together["claim"]) / together["seconds"],
        "claim_p99_ms_c8": 1000 * statistics.quantiles(together["claim"], n=100)[-1],
        "overlap_violations": violations(),
    }


# The fixture


def prepare(size: int) -> None:
    """A database of `size` open tasks: made once, then copied (SQLite) or filled anew (PostgreSQL)."""
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    if connection.vendor == "postgresql":
        call_command("migrate", verbosity=0)
        call_command("flush", interactive=False, verbosity=0)
        return fill(size)
    name = Path(settings.DATABASES["default"]["NAME"])
    cached = name.with_name(f"fixture-{schema()}.sqlite3")
    for stale in (name, *name.parent.glob(f"{name.name}-*")):
        stale.unlink(missing_ok=True)
    if not cached.exists():
        call_command("migrate", verbosity=0)
        fill(size)
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        shutil.copy(name, cached)
    else:
        shutil.copy(cached, name)


def schema() -> str:
    """Changes with any migration, so that a fixture of older tables is not taken for today's."""
    files = sorted(ROOT.glob("*/migrations/*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]


def fill(size: int) -> None:
    """Prompts, answers and tasks by INSERT … SELECT: a million in about a minute."""
    from django.db import connection, transaction

    from labeling.candidates import publish
    from labeling.models import RankingTask
    from modelops.models import Job, ModelVersion
    from people.models import Membership, Project, User

    project = Project.objects.create(slug="bench", name="Bench", k=K, overlap=OVERLAP)
    for number in range(PEOPLE):
        user = User.objects.create_user(f"person{number}@example.org")
        Membership.objects.create(project=project, user=user)
    version = ModelVersion.objects.create(project=project, kind="policy", name="writer")
    job = Job.objects.create(project=project, kind="sample", state="done", model_version=version)
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %s) "
    text = "x" * 200
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO labeling_prompt (id, project_id, messages, source, author, use_case, language, split, digest, "
            "published, job_id, created_at) " + numbers + 'SELECT i, %s, \'[{"role":"user","content":"?"}]\', \'\', '
            "'', '', '', 'train', CAST(i AS varchar), true, %s, CURRENT_TIMESTAMP FROM n",
            [size, project.pk, job.pk],
        )
        for slot in range(K):
            cursor.execute(
                "INSERT INTO labeling_candidate (id, prompt_id, model_version_id, job_id, slot, text, finish_reason, "
                "created_at) " + numbers + "SELECT i * %s + %s, i, %s, %s, %s, %s, 'stop', CURRENT_TIMESTAMP FROM n",
                [size, K, slot, version.pk, job.pk, slot, text],
            )
        cursor.execute(
            "INSERT INTO labeling_rankingtask (id, project_id, prompt_id, job_id, purpose, state, priority, overlap, "
            "free_places, created_at) "
            + numbers
            + "SELECT i, %s, i, %s, 'training', 'open', 0, %s, 0, CURRENT_TIMESTAMP FROM n",
            [size, project.pk, job.pk, OVERLAP],
        )
        cursor.execute(
            "INSERT INTO labeling_rankingtask_candidates (rankingtask_id, candidate_id) "
            "SELECT prompt_id, id FROM labeling_candidate"
        )
        publish(RankingTask.objects.filter(project=project))
    connection.cursor().execute("ANALYZE")


# The measurement


def memberships() -> list:
    from people.models import Membership

    return list(Membership.objects.select_related("project", "user").order_by("pk"))


def run(members: list, pairs: int) -> dict:
    """Each member claims and submits `pairs` times in a thread of its own."""
    times: dict[str, list[float]] = {"claim": [], "submit": []}
    threads = [threading.Thread(target=work, args=(member, pairs, times)) for member in members]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times | {"seconds": time.perf_counter() - started}


def work(member, pairs: int, times: dict) -> None:
    from django.db import connection

    from labeling import assignment, ranking

    verdicts = {letter: ranking.Verdict(rank=place) for place, letter in enumerate("abcd", start=1)}
    for _ in range(pairs):
        before = time.perf_counter()
        held = assignment.next_for(member)
        claimed = time.perf_counter()
        if held is None:
            break
        ranking.submit(held, ranking.Judgment(verdicts))
        times["claim"].append(claimed - before)
        times["submit"].append(time.perf_counter() - claimed)
    connection.close()


def violations() -> int:
    """Tasks with more labelers than their overlap, or whose free places don't add up."""
    from django.db.models import Count, F, Q

    from labeling.models import Assignment, RankingTask

    touched = RankingTask.objects.filter(pk__in=Assignment.objects.values("task"))
    held = Count("assignments", filter=Q(assignments__state__in=Assignment.HOLDING))
    return touched.annotate(held=held).exclude(held=F("overlap") - F("free_places")).count()


def flat(results: dict) -> dict:
    figures = {f"{name}_{size}": value for size, result in results.items() for name, value in result.items()}
    largest, smallest = results[max(results)], results[min(results)]
    return figures | {
        "pairs_per_second_c8": largest["pairs_per_second_c8"],
        "claim_growth_1k_to_1m": largest["claim_ms"] / smallest["claim_ms"],
        "overlap_violations": sum(result["overlap_violations"] for result in results.values()),
    }


def table(results: dict) -> str:
    names = list(next(iter(results.values())))
    lines = [f"{'tasks':24}" + "".join(f"{size:>12,}" for size in results)]
    lines += [f"{name:24}" + "".join(f"{result[name]:12.1f}" for result in results.values()) for name in names]
    growth = flat(results)["claim_growth_1k_to_1m"]
    return "\n".join([*lines, f"claim, 1,000,000 tasks against 1,000: {growth:.2f} x"])


if __name__ == "__main__":
    main()
