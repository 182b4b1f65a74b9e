r"""How long a labeler waits for a task and for a submit, over HTTP, as the queue grows to a million
tasks.

1, 8 and 32 annotators log in and work the ranking page's own addresses with no time to think, at 1k
to 1M tasks of four answers and overlap 3: on SQLite, and on PostgreSQL where a database is named
(it is emptied). Where asked, Label Studio does the same on 10,000 tasks in the same run. Afterwards
every touched task is checked against its overlap. With `--reserved`, the smallest and the largest
queue are measured once more, with half of the tasks reserved for other people.

    python benchmarks/assignment.py --json figures.json
    python benchmarks/assignment.py --reserved-only --json figures.json
    python benchmarks/assignment.py --postgres postgres://user@127.0.0.1/empty \
        --peer http://127.0.0.1:8082 --peer-tokens FILE
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.annotators import Labeler, Level, PeerAnnotator, closed_loop, peer_project  # noqa: E402
from benchmarks.podium import OURS, free_port  # noqa: E402
from benchmarks.queue_fixture import OVERLAP, PEOPLE  # noqa: E402
from config.run.up import web  # noqa: E402

CACHE = ROOT / "var" / "benchmarks" / "assignment"
SIZES = (1_000, 10_000, 100_000, 1_000_000)
PEER_SIZE = 10_000
CROWDS = (1, 8, 32)
MOST = 800  # pairs at once: 1,000 tasks hold 3,000
MOST_RESERVED = 350  # 500 tasks hold 1,500
ALTERNATIONS = 100


def main() -> None:
    options = arguments()
    databases = {"sqlite": ""} | ({"postgresql": options.postgres} if options.postgres else {})
    figures = {}
    for database, url in databases.items():
        for size, reserved in sizes(options):
            name = f"{database}_{size}" + ("_reserved" if reserved else "")
            measured = podium(size, url, options.seconds, reserved)
            tell(f"{database}, {size:,} tasks" + (", half reserved" if reserved else ""), measured)
            figures |= {f"{name}_{figure}": value for figure, value in measured.items()}
    if options.peer:
        measured = peer(options)
        tell(f"the peer, {PEER_SIZE:,} tasks", measured)
        figures |= {f"peer_{name}": value for name, value in measured.items()}
    figures |= told(figures, databases)
    for name in (
        "next_growth_1k_to_1m",
        "next_growth_reserved_1k_to_1m",
        "submit_to_bare",
        "overlap_violations",
        "peer_pairs_ratio",
        "peer_next_ratio",
    ):
        if name in figures:
            print(f"{name:24}{figures[name]:10.2f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="four seconds a measurement in place of twenty"
    )
    parser.add_argument(
        "--postgres", default="", metavar="URL", help="a PostgreSQL database that may be emptied"
    )
    parser.add_argument(
        "--reserved", action="store_true", help="also with half of the tasks reserved for others"
    )
    parser.add_argument("--reserved-only", action="store_true", help="with these tasks alone")
    parser.add_argument("--peer", metavar="URL", help="a running Label Studio to measure beside")
    parser.add_argument(
        "--peer-tokens", type=Path, help='its tokens: {"users": [32 of them], "admin": ...}'
    )
    parser.add_argument(
        "--data", type=Path, help="taken for other benchmarks' sake; this one needs no outside data"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    options.seconds = 4 if options.quick else 20
    if options.peer and not options.peer_tokens:
        parser.error("--peer needs --peer-tokens")
    if options.peer and options.reserved_only:
        parser.error("--peer is measured beside queues without reserved tasks")
    return options


# Podium


def sizes(options) -> list[tuple[int, bool]]:
    """The queues to measure: how many tasks, and whether half of them are reserved for others."""
    plain = [] if options.reserved_only else [(size, False) for size in SIZES]
    reserved = [(min(SIZES), True), (max(SIZES), True)]
    return plain + (reserved if options.reserved or options.reserved_only else [])


def podium(size: int, url: str, seconds: float, reserved: bool = False) -> dict[str, float]:
    """The figures of one size on one database (SQLite when `url` is empty), served as `make up`
    serves it.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    var = CACHE / ("postgresql" if url else str(size))
    var.mkdir(parents=True, exist_ok=True)
    environment |= {"PODIUM_VAR": str(var), "DATABASE_URL": url}
    fixture("fill", str(size), str(PEOPLE), environment=environment)
    if reserved:
        fixture("reserve", environment=environment)
    with server(environment) as (base, _pid):
        labelers = [Labeler(base, person) for person in range(PEOPLE)]
        most = MOST_RESERVED if reserved else MOST
        measured = crowds(labelers, seconds, most) | against_bare(labelers[0])
    return measured | {"overlap_violations": int(fixture("violations", environment=environment))}


def fixture(*arguments: str, environment: dict) -> str:
    command = [sys.executable, "-m", "benchmarks.queue_fixture", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


@contextmanager
def server(environment: dict):
    """The web server alone, on a free port: (its address, its process id)."""
    port = free_port()
    command = web(SimpleNamespace(HOST="127.0.0.1", PORT=port))
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        yield answering(f"http://127.0.0.1:{port}"), process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def answering(base: str, seconds: float = 60) -> str:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"{base}/login/", timeout=10).close()
            return base
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise SystemExit(f"the server did not answer within {seconds:.0f} s")


def against_bare(labeler: Labeler) -> dict[str, float]:
    """Submits and bare authenticated requests by turns, so that both see the same machine."""
    submits, bares = [], []
    labeler.begin()
    for _ in range(ALTERNATIONS):
        if labeler.next() is None:
            break
        submits.append(seconds_of(labeler.submit))
        bares.append(seconds_of(labeler.bare))
    submit, bare = statistics.median(submits), statistics.median(bares)
    return {
        "submit_alone_ms": 1000 * submit,
        "bare_ms": 1000 * bare,
        "submit_to_bare": submit / bare,
    }


def seconds_of(deed) -> float:
    before = time.perf_counter()
    deed()
    return time.perf_counter() - before


# The peer


def peer(options) -> dict[str, float]:
    tokens = json.loads(options.peer_tokens.read_text())
    project = peer_project(options.peer, tokens["admin"], PEER_SIZE, OVERLAP)
    annotators = [PeerAnnotator(options.peer, token, project) for token in tokens["users"]]
    return crowds(
        annotators, 5 * options.seconds
    )  # it does some pairs a second: fewer would be no measurement


# The figures


def crowds(annotators: list, seconds: float, most: int = MOST) -> dict[str, float]:
    figures, touched = {"errors": 0}, Counter()
    for crowd in CROWDS:
        level = closed_loop(annotators[:crowd], seconds, most)
        touched += level.tasks
        for error in level.errors:
            print(f"  {error}", file=sys.stderr)
        figures["errors"] += len(level.errors)
        figures |= {f"{name}_c{crowd}": value for name, value in summary(level).items()}
    return figures | {"most_on_one_task": max(touched.values())}


def summary(level: Level) -> dict[str, float]:
    return {
        "pairs_per_second": len(level.submit) / level.seconds,
        "next_ms": 1000 * statistics.median(level.next),
        "next_p95_ms": 1000 * statistics.quantiles(level.next, n=20)[-1],
        "submit_ms": 1000 * statistics.median(level.submit),
        "submit_p95_ms": 1000 * statistics.quantiles(level.submit, n=20)[-1],
    }


def tell(what: str, measured: dict) -> None:
    print(f"\n{what}\n{'annotators':24}" + "".join(f"{crowd:10}" for crowd in CROWDS))
    for name in ("pairs_per_second", "next_ms", "next_p95_ms", "submit_ms", "submit_p95_ms"):
        print(f"{name:24}" + "".join(f"{measured[f'{name}_c{crowd}']:10.1f}" for crowd in CROWDS))
    rest = {name: value for name, value in measured.items() if "_c" not in name}
    print("  ".join(f"{name} {value:.4g}" for name, value in rest.items()), flush=True)


def told(figures: dict, databases: dict) -> dict[str, float]:
    """The figures that stand for the run: of both databases the worse one."""
    said = {
        "submit_to_bare": max(
            value for name, value in figures.items() if name.endswith("submit_to_bare")
        ),
        "overlap_violations": sum(
            value for name, value in figures.items() if name.endswith("overlap_violations")
        ),
    }
    if plain := growths(figures, databases, ""):
        said |= {
            "pairs_per_second_c8": min(
                figures[f"{name}_{max(SIZES)}_pairs_per_second_c8"] for name in databases
            ),
            "claim_growth_1k_to_1m": max(plain),  # a claim is what `next` waits for
            "next_growth_1k_to_1m": max(plain),
        }
    if reserved := growths(figures, databases, "_reserved"):
        said["next_growth_reserved_1k_to_1m"] = max(reserved)
    return said | (ratios(figures, databases) if "peer_next_ms_c1" in figures else {})


def growths(figures: dict, databases: dict, which: str) -> list[float]:
    """On each database, what `next` takes in the largest queue over what it takes in the smallest;
    nothing where those queues were not measured.
    """
    large, small = (f"{size}{which}_next_ms_c1" for size in (max(SIZES), min(SIZES)))
    return [
        figures[f"{name}_{large}"] / figures[f"{name}_{small}"]
        for name in databases
        if f"{name}_{large}" in figures
    ]


def ratios(figures: dict, databases: dict) -> dict[str, float]:
    """Podium's pairs a second over the peer's (the smallest of all crowds), and its `next` over the
    peer's, alone.
    """
    ours = [f"{name}_{PEER_SIZE}" for name in databases]
    pairs = [
        figures[f"{our}_pairs_per_second_c{c}"] / figures[f"peer_pairs_per_second_c{c}"]
        for our in ours
        for c in CROWDS
    ]
    nexts = [figures[f"{our}_next_ms_c1"] / figures["peer_next_ms_c1"] for our in ours]
    return {"peer_pairs_ratio": min(pairs), "peer_next_ratio": max(nexts)}


if __name__ == "__main__":
    main()
