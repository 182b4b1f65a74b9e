"""A hundred people at work: how long each waits for a submit and for the next card, with time to
think in between.

Everybody ranks tasks of four answers on the ranking page's own addresses, and thinks a while before
each submit (an exponential time with the mean THINK, so that people come as they come). The same
queue of 10,000 tasks lies on SQLite and, where a database is named, on PostgreSQL (it is emptied).
The web server is that of `make up`; the people run beside it. Afterwards every touched task is
checked against its overlap. What a ranking takes of processors, database and its log is counted,
too: `capacity.py` reckons with it.

    python benchmarks/load.py --labelers 100 --postgres postgres://user@127.0.0.1/empty --json figures.json
    python benchmarks/load.py --labelers 500 --think 20 --postgres-only --postgres URL
"""  # noqa: E501  (a command line)

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.annotators import Labeler  # noqa: E402
from benchmarks.assignment import fixture, server  # noqa: E402
from benchmarks.podium import OURS, cpu_seconds, parent  # noqa: E402

CACHE = ROOT / "var" / "benchmarks" / "load"
TASKS = 10_000
THINK, SECONDS, WARM_UP = 2.0, 60, 5
PERCENTILES = (50, 95, 99)
STEPS = ("submit", "next")


@dataclass
class Waits:
    """Seconds that people waited, by step, and what went wrong."""

    submit: list[float] = field(default_factory=list)
    next: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    all_submits: int = 0  # also those before the counting began


@dataclass
class Costs:
    """What the server and, where it is PostgreSQL, the database have used; later minus earlier is
    what a time between has cost.
    """

    people_cpu: float  # seconds of the benchmark itself
    web_cpu: float  # seconds
    database_cpu: float  # seconds
    database_bytes: int
    log_bytes: int  # written ahead

    @classmethod
    def now(cls, web: int, url: str) -> Costs:
        if not url:
            return cls(time.process_time(), cpu_seconds(web), 0, 0, 0)
        with psycopg.connect(url) as connection:
            sizes = "pg_database_size(current_database()), pg_current_wal_lsn() - '0/0'"
            [(stored, log, backend)] = connection.execute(
                f"SELECT {sizes}, pg_backend_pid()"
            ).fetchall()
            database = cpu_seconds(parent(backend))
            return cls(time.process_time(), cpu_seconds(web), database, stored, int(log))

    def each(self, earlier: Costs, count: int) -> dict[str, float]:
        spent = {name: value - getattr(earlier, name) for name, value in vars(self).items()}
        return {
            "people_cpu_ms": 1000 * spent["people_cpu"] / count,
            "web_cpu_ms": 1000 * spent["web_cpu"] / count,
            "database_cpu_ms": 1000 * spent["database_cpu"] / count,
            "database_bytes": spent["database_bytes"] / count,
            "log_bytes": spent["log_bytes"] / count,
        }


def main() -> None:
    options = arguments()
    databases = [] if options.postgres_only else [("sqlite", "")]
    databases += [("postgresql", options.postgres)] if options.postgres else []
    figures: dict[str, float] = {
        "labelers": options.labelers,
        "think_seconds": options.think,
        "errors": 0,
        "violations": 0,
    }
    for name, url in databases:
        waits, costs, violations = measured(url, options)
        figures |= {f"{step}_{key}_{name}": value for step, key, value in summary(waits)}
        figures |= {f"{key}_a_ranking_{name}": value for key, value in costs.items()}
        figures[f"submits_per_second_{name}"] = len(waits.submit) / options.seconds
        figures["errors"] += len(waits.errors)
        figures["violations"] += violations
        for error in waits.errors[:5]:
            print(f"{name}: {error}", file=sys.stderr)
    if len(databases) == 2:
        ratio = figures["submit_p95_ms_sqlite"] / figures["submit_p95_ms_postgresql"]
        figures["p95_sqlite_over_postgresql"] = ratio
    for name, value in figures.items():
        print(f"{name:32}{value:10.1f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--labelers", type=int, default=100, metavar="N")
    parser.add_argument("--think", type=float, default=THINK, metavar="SECONDS")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long they work")
    parser.add_argument(
        "--postgres", default="", metavar="URL", help="a PostgreSQL database that may be emptied"
    )
    parser.add_argument("--postgres-only", action="store_true", help="without SQLite")
    parser.add_argument("--quick", action="store_true", help="for a third of the time")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    options.seconds /= 3 if options.quick else 1
    return options


def measured(url: str, options: argparse.Namespace) -> tuple[Waits, dict[str, float], int]:
    """What people waited on this database (SQLite without an address), what a ranking cost, and how
    many tasks were ranked by more people than their overlap says.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    var = CACHE / ("postgresql" if url else "sqlite")
    var.mkdir(parents=True, exist_ok=True)
    environment |= {"PODIUM_VAR": str(var), "DATABASE_URL": url}
    fixture("fill", str(TASKS), str(options.labelers), environment=environment)
    with server(environment) as (base, web):
        people = [Labeler(base, person) for person in range(options.labelers)]
        for person in people:
            person.begin()
        before = Costs.now(web, url)
        waits = at_work(people, options.seconds, options.think)
        costs = Costs.now(web, url).each(before, waits.all_submits)
    return waits, costs, int(fixture("violations", environment=environment))


def at_work(people: list[Labeler], seconds: float, think: float) -> Waits:
    waits = Waits()
    begins = time.perf_counter() + WARM_UP
    threads = []
    for number, person in enumerate(people):
        told = (person, random.Random(number), waits, begins, seconds, think)
        threads.append(threading.Thread(target=work, args=told))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waits


def work(
    person: Labeler,
    draw: random.Random,
    waits: Waits,
    begins: float,
    seconds: float,
    think: float,
) -> None:
    """Rank until the time is over. What is done while the others still begin is not counted."""
    time.sleep(draw.uniform(0, think))
    try:
        while (now := time.perf_counter()) < begins + seconds:
            asked = time.perf_counter()
            if person.next() is None:
                raise RuntimeError("the queue is empty")
            given = time.perf_counter()
            time.sleep(draw.expovariate(1 / think))
            submitted = time.perf_counter()
            person.submit()
            waits.all_submits += 1
            if now >= begins:
                waits.next.append(given - asked)
                waits.submit.append(time.perf_counter() - submitted)
    except (OSError, RuntimeError, TypeError) as error:
        waits.errors.append(repr(error))


def summary(waits: Waits) -> list[tuple[str, str, float]]:
    """(step, name, milliseconds) of each percentile."""
    rows = []
    for step in STEPS:
        cuts = statistics.quantiles(getattr(waits, step), n=100)
        rows += [(step, f"p{place}_ms", 1000 * cuts[place - 1]) for place in PERCENTILES]
    return rows


if __name__ == "__main__":
    main()
