r"""How fast comparisons go home, and in how much memory, from ten thousand to a million.

The prompts and answers are of real models (`--data`), the rankings are drawn. Each file is written
by a worker's own code in a process of its own, and the largest is then downloaded from a web
server: the memory of each is held against what it was after a file of a hundred rows. With
`--peer`, Label Studio exports 10,000 annotated tasks in the same run.

    python benchmarks/export.py --data FOLDER --json figures.json
    python benchmarks/export.py --data FOLDER --sizes 1000 10000 \
        --peer http://127.0.0.1:8082 --peer-tokens FILE
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import export_fixture  # noqa: E402
from benchmarks.assignment import server  # noqa: E402
from benchmarks.person import Site  # noqa: E402
from benchmarks.podium import OURS  # noqa: E402

SIZES = (10_000, 1_000_000)  # comparisons
PEER_TASKS = 10_000
FILES = ("jsonl", "parquet")
MIB = 2**20


def main() -> None:
    options = arguments()
    figures: dict[str, float] = {}
    for size in options.sizes:
        environment = podium(options, size)
        for file in FILES:
            measured = rendered(environment, file)
            figures |= {f"{file}_{size}_{name}": value for name, value in measured.items()}
            print(
                f"{size:>9,} comparisons, {file:8}"
                + "".join(f"  {n} {v:,.1f}" for n, v in measured.items()),
                flush=True,
            )
        figures |= {
            f"server_{size}_{name}": value for name, value in downloaded(environment).items()
        }
    figures |= told(figures, options.sizes)
    if options.peer:
        figures |= beside_peer(options)
    for name in TOLD:
        if name in figures:
            print(f"{name:32}{figures[name]:14,.2f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


TOLD = (
    "rows_per_second_jsonl",
    "rows_per_second_parquet",
    "peak_rss_over_idle_mb",
    "memory_growth_mb",
    "peer_export_ratio",
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="a folder that holds self-instruct/predictions"
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="comparisons to export")
    parser.add_argument("--quick", action="store_true", help="a tenth of the comparisons")
    parser.add_argument("--peer", metavar="URL", help="a running Label Studio to measure beside")
    parser.add_argument("--peer-tokens", type=Path, help='its tokens: {"admin": ...}')
    parser.add_argument(
        "--peer-tasks", type=int, default=PEER_TASKS, help="annotated tasks that both export"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    options.sizes = [size // 10 for size in options.sizes] if options.quick else list(options.sizes)
    if options.peer and not options.peer_tokens:
        parser.error("--peer needs --peer-tokens")
    return options


# Podium


def podium(options, size: int, tasks: int = 0) -> dict:
    """The environment of an installation that holds a dataset of so many comparisons, or tasks."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    environment |= {"PODIUM_VAR": str(ROOT / "var" / "benchmarks" / "export" / f"{size}-{tasks}")}
    run(environment, "fill", str(options.data), str(size), str(tasks))
    return environment


def run(environment: dict, *arguments: str) -> dict:
    command = [sys.executable, "-m", "benchmarks.export_fixture", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def rendered(environment: dict, file: str) -> dict[str, float]:
    """Rows a second of a worker's rendering, the median of three, and its memory above idle."""
    runs = [run(environment, "render", f"conversational.{file}") for _ in range(3)]
    return {
        "rows_per_second": statistics.median(one["rows"] / one["seconds"] for one in runs),
        "peak_over_idle_mb": max(one["peak"] - one["idle"] for one in runs) / MIB,
    }


def downloaded(environment: dict) -> dict[str, float]:
    """The web server's memory while the largest file is read from it, above that after a small one;
    bytes a second.
    """
    with server(environment) as (base, _pid):
        browser = Site(base, export_fixture.EMAIL, export_fixture.PASSWORD).http
        page = f"/p/{export_fixture.SLUG}/datasets/"
        small, large = (
            page + f"{pk}/download?format=conversational.jsonl" for pk in export_fixture.DATASETS
        )
        read(browser, small)
        idle, began = memory(environment), time.perf_counter()
        size = read(browser, large)
        return {
            "peak_over_idle_mb": (memory(environment) - idle) / MIB,
            "mb_per_second": size / MIB / (time.perf_counter() - began),
        }


def read(browser: httpx.Client, address: str) -> int:
    with browser.stream("GET", address) as answer:
        if answer.status_code != 200:
            raise SystemExit(f"{address}: {answer.status_code}")
        return sum(len(chunk) for chunk in answer.iter_raw())


def memory(environment: dict) -> int:
    """The most that any web process of this installation has held."""
    mark, found = f"PODIUM_VAR={environment['PODIUM_VAR']}".encode(), 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                status = dict(
                    line.split(":\t", 1)
                    for line in (folder / "status").read_text().splitlines()
                    if ":\t" in line
                )
                found = max(found, int(status["VmHWM"].split()[0]) * 1024)
        except (OSError, KeyError, ValueError):
            continue  # it ended meanwhile, or is another account's
    return found


def told(figures: dict, sizes: list[int]) -> dict[str, float]:
    """The figures that stand for the run: at the largest size; the memory is the worst of worker
    and server.
    """
    most, least = max(sizes), min(sizes)
    who = [*FILES, "server"]
    peaks = {
        name: [figures[f"{name}_{size}_peak_over_idle_mb"] for size in (least, most)]
        for name in who
    }
    return {
        f"rows_per_second_{file}": figures[f"{file}_{most}_rows_per_second"] for file in FILES
    } | {
        "peak_rss_over_idle_mb": max(large for _small, large in peaks.values()),
        "memory_growth_mb": max(large - small for small, large in peaks.values()),
    }


# The peer


def beside_peer(options) -> dict[str, float]:
    """Annotated tasks out of Label Studio's snapshot export, and out of Podium as the same tool's
    import file.
    """
    environment = podium(options, 0, options.peer_tasks)
    ours = statistics.median(
        run(environment, "render", "label-studio.json")["seconds"] for _ in range(3)
    )
    tasks = run(environment, "tasks")["file"]
    theirs = peer_seconds(options, json.loads(Path(tasks).read_text()))
    return {"peer_seconds": theirs, "peer_ours_seconds": ours, "peer_export_ratio": theirs / ours}


def peer_seconds(options, tasks: list[dict]) -> float:
    """Import the tasks with their annotations, then time one export of them all."""
    token = json.loads(options.peer_tokens.read_text())["admin"]
    headers = {"Authorization": f"Token {token}"}
    with httpx.Client(base_url=options.peer, headers=headers, timeout=1800) as api:
        made = api.post("/api/projects", json={"title": "export", "label_config": CONFIG})
        made.raise_for_status()
        project = made.json()["id"]
        for start in range(0, len(tasks), 500):
            api.post(
                f"/api/projects/{project}/import", json=tasks[start : start + 500]
            ).raise_for_status()
        began = time.perf_counter()
        answer = api.get(f"/api/projects/{project}/export", params={"exportType": "JSON"})
        answer.raise_for_status()
        seconds = time.perf_counter() - began
        if len(answer.json()) != len(tasks):
            raise SystemExit(f"the peer exported {len(answer.json())} of {len(tasks)} tasks")
    return seconds


BUCKETS = "".join(f'<Bucket name="{rank}" title="{rank}"/>' for rank in range(1, 9))
CONFIG = f"""<View><Text name="prompt" value="$prompt"/><List name="answers" value="$answers" title="Answers"/>
<Ranker name="rank" toName="answers">{BUCKETS}</Ranker></View>"""  # noqa: E501  (Label Studio's XML)


if __name__ == "__main__":
    main()
