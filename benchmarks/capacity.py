"""What so many labelers take: processors, database, tokens and money, from the costs of one ranking
that `load.py` has measured on PostgreSQL.

A queueing simulation says how long people wait: N people think for a while (exponential), then ask
for the next card or submit; each request takes its share of a ranking's processor time on one of
the processors, first come first served. It is held against the load test whose costs it takes.

What no measurement has given is an option, and marked as assumed.

    python benchmarks/load.py --postgres-only --postgres URL --json load.json
    python benchmarks/capacity.py load.json
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import random
import statistics
from pathlib import Path
from typing import NamedTuple

PEOPLE = (100, 10_000, 1_000_000)
REQUESTS = 2  # a ranking: the card after it is fetched, and it is submitted
BUSY = 0.6  # of the processors, at most
DAY, YEAR = 8 * 3600, 250  # seconds that a labeler works a day; days a year
MONTH = 730  # hours
BASE = "postgresql"


class Waits(NamedTuple):
    """Milliseconds, and rankings a second."""

    p50: float
    p95: float
    p99: float
    rate: float


def simulated(
    people: int, think: float, service: float, processors: int, rankings: int = 20_000
) -> Waits:
    """How long a request waits and is worked on. `service` is the mean of a request's processor
    time in seconds; think and service times are exponential.
    """
    draw = random.Random(0)
    free = [0.0] * processors  # when each processor has nothing to do any more
    arrivals = [(draw.expovariate(1 / think), person, 0) for person in range(people)]
    heapq.heapify(arrivals)
    waited: list[float] = []
    now = 0.0
    while len(waited) < REQUESTS * rankings:
        now, person, step = heapq.heappop(arrivals)
        begins = max(now, heapq.heappop(free))
        ends = begins + draw.expovariate(1 / service)
        heapq.heappush(free, ends)
        waited.append(ends - now)
        pause = draw.expovariate(1 / think) if step == 0 else 0.0  # after the card is there
        heapq.heappush(arrivals, (ends + pause, person, 1 - step))
    settled = waited[len(waited) // 10 :]
    cuts = statistics.quantiles(settled, n=100)
    return Waits(*(1000 * cuts[place - 1] for place in (50, 95, 99)), len(waited) / REQUESTS / now)


def checked(load: dict) -> list[tuple[str, float, float]]:
    """(figure, simulated, measured) of the load test itself, whose people share the machine."""
    parts = ("people_cpu_ms", "web_cpu_ms", "database_cpu_ms")
    service = sum(load[f"{part}_a_ranking_{BASE}"] for part in parts) / 1000 / REQUESTS
    waits = simulated(int(load["labelers"]), load["think_seconds"], service, os.cpu_count() or 1)
    measured = [load[f"submit_{name}_ms_{BASE}"] for name in ("p50", "p95", "p99")]
    measured.append(load[f"submits_per_second_{BASE}"])
    names = ("p50, ms", "p95, ms", "p99, ms", "rankings a second")
    return list(zip(names, waits, measured, strict=True))


def plan(load: dict, people: int, options: argparse.Namespace) -> dict[str, float]:
    """What so many people take, if they all work at once."""
    daily = people * DAY / options.ranking_seconds
    rate = people / options.ranking_seconds
    web, database = (load[f"{part}_cpu_ms_a_ranking_{BASE}"] / 1000 for part in ("web", "database"))
    tokens = rate * options.k / options.overlap * options.answer_tokens
    cores = {"web": rate * web / BUSY, "database": rate * database / BUSY}
    gpus = tokens / options.gpu_tokens
    stored = daily * YEAR * load[f"database_bytes_a_ranking_{BASE}"] / 1e9
    money = (
        sum(cores.values()) * options.core_price
        + gpus * MONTH * options.gpu_price
        + stored * options.gigabyte_price
    )
    return {
        "people": people,
        "rankings a day": daily,
        "rankings a second": rate,
        "web processors": cores["web"],
        "database processors": cores["database"],
        "log, MB a second": rate * load[f"log_bytes_a_ranking_{BASE}"] / 1e6,
        "database, GB a year": stored,
        "tokens a second": tokens,
        "GPUs": gpus,
        "a month": money,
    }


def main() -> None:
    options = arguments()
    load = json.loads(options.load.read_text())
    print(f"{'the load test':24}{'simulated':>12}{'measured':>12}")
    for name, simulated_, measured in checked(load):
        print(f"{name:24}{simulated_:12.1f}{measured:12.1f}")
    plans = [plan(load, people, options) for people in PEOPLE]
    print()
    for name in plans[0]:
        print(f"{name:24}" + "".join(f"{one[name]:16,.1f}" for one in plans))
    if options.json:
        options.json.write_text(json.dumps(plans, indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("load", type=Path, help="the figures of load.py, on PostgreSQL")
    parser.add_argument("--json", type=Path, help="write the plans here")
    assumed = parser.add_argument_group("assumed")
    assumed.add_argument("--ranking-seconds", type=float, default=90, help="of a ranking")
    assumed.add_argument("--k", type=int, default=4, help="answers of a task")
    assumed.add_argument("--overlap", type=int, default=3, help="people who rank a task")
    assumed.add_argument("--answer-tokens", type=int, default=250)
    assumed.add_argument("--gpu-tokens", type=float, default=5_000, help="a GPU makes a second")
    assumed.add_argument("--core-price", type=float, default=25, help="a processor, a month")
    assumed.add_argument("--gpu-price", type=float, default=3, help="a GPU, an hour")
    assumed.add_argument("--gigabyte-price", type=float, default=0.15, help="a GB, a month")
    return parser.parse_args()


if __name__ == "__main__":
    main()
