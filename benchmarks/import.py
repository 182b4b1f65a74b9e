"""Prompts in, with all of the cleaning and without any; ten times fewer, to see memory grow; and
prompts with four ranked answers each.

Each import is one `manage.py import` into a new SQLite database, in a process of its own. Its peak
is that of this process and of those that clean texts for it, together. Where asked, Label Studio
takes the same prompts through its own import, without any cleaning, in the same run.

    python benchmarks/import.py --json figures.json
    python benchmarks/import.py --peer http://127.0.0.1:8082 --peer-tokens FILE
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.annotators import Wire  # noqa: E402
from benchmarks.podium import OURS, children  # noqa: E402

SIZE, SMALL = 100_000, 10_000
K = 4  # answers of a ranked prompt
MODES = {"cleaned": (), "plain": ("--no-cleaning",)}
PEER_CHUNK = 1_000
PEER_PAGE = (
    '<View><Text name="prompt" value="$prompt"/><TextArea name="answer" toName="prompt"/></View>'
)
WORDS = (
    Path(__file__).read_text().split()
    + (ROOT / "docs" / "admin.md").read_text(encoding="utf-8").split()
)


def main() -> None:
    options = arguments()
    size = options.rows or (SIZE // 4 if options.quick else SIZE)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prompts.jsonl"
        small = min(SMALL, size // 2)
        for count in (small, size):
            write(file, count)
            for mode, switches in MODES.items():
                var = Path(folder) / f"{mode}-{count}"
                measured = podium(var, file, count, switches)
                figures |= {f"{name}_{mode}_{count}": value for name, value in measured.items()}
        ranked = Path(folder) / "ranked.jsonl"
        write(ranked, small, answers=K)
        measured = podium(Path(folder) / "ranked", ranked, small, ())
        figures |= {f"{name}_ranked_k{K}": value for name, value in measured.items()}
        for mode in MODES:
            figures[f"rows_per_second_{mode}"] = figures[f"rows_per_second_{mode}_{size}"]
        figures["rows_per_second"] = figures["rows_per_second_cleaned"]  # its name before
        peaks = {name: value for name, value in figures.items() if name.startswith("peak_rss_mb_")}
        figures["peak_rss_mb"] = max(peaks.values())
        figures["idle_rss_mb"] = idle(Path(folder) / "ranked")
        if options.peer:
            figures["peer_rows_per_second"] = peer(options, file, size)
            for mode in (*MODES, f"ranked_k{K}"):
                figures[f"peer_import_ratio_{mode}"] = (
                    figures[f"rows_per_second_{mode}"] / figures["peer_rows_per_second"]
                )
    for name, value in figures.items():
        print(f"{name:34}{value:12.1f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a quarter of the rows")
    parser.add_argument("--rows", type=int, help="so many rows in place of 100,000")
    parser.add_argument("--peer", metavar="URL", help="a running Label Studio to measure beside")
    parser.add_argument("--peer-tokens", type=Path, help='its tokens: {"admin": ...}')
    parser.add_argument(
        "--data", type=Path, help="taken for other benchmarks' sake; this one needs no outside data"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    if options.peer and not options.peer_tokens:
        parser.error("--peer needs --peer-tokens")
    return options


def write(file: Path, count: int, answers: int = 0) -> None:
    """Prompts of 15 to 80 words; of a hundred, three are near duplicates, two repeats, one holds an
    address. With `answers`, each has so many that one person ranked.
    """
    draw = random.Random(1)
    earlier = "What is asked here?"
    with open(file, "w", encoding="utf-8") as out:
        for number in range(count):
            kind = draw.randrange(100)
            text = " ".join(draw.choices(WORDS, k=draw.randint(15, 80)))
            if kind < 5:
                text = earlier if kind < 2 else f"{earlier} Please."
            elif kind == 5:
                text += f" Write to person{number}@example.org."
            earlier = text
            row = {"prompt": text, "author": f"author {draw.randrange(count // 20)}"}
            if answers:
                texts = [
                    " ".join(draw.choices(WORDS, k=draw.randint(15, 80))) for _ in range(answers)
                ]
                ranks = draw.sample(range(1, answers + 1), answers)
                row["answers"] = [
                    {"text": answer, "model": f"model {place}", "rank": rank}
                    for place, (answer, rank) in enumerate(zip(texts, ranks, strict=True))
                ]
                row["labeler"] = f"labeler {draw.randrange(50)}"
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def environment_of(var: Path) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return environment | {"PODIUM_VAR": str(var), "PODIUM_DEMO": "0"}


def idle(var: Path) -> float:
    """The peak of a command that reads one row: what any process of Podium takes, in MB."""
    return manage(
        environment_of(var), "shell", "-c", "from people.models import *; Project.objects.get()"
    )[1]


def podium(var: Path, file: Path, count: int, switches: tuple[str, ...]) -> dict[str, float]:
    environment = environment_of(var)
    var.mkdir()
    manage(environment, "migrate", "--verbosity", "0")
    manage(
        environment,
        "shell",
        "-c",
        "from labeling.project_settings import make; make(slug='bench', name='Bench')",
    )
    begun = time.perf_counter()
    said, peak, own = manage(
        environment, "import", str(file), "--project", "bench", "--format", "prompts", *switches
    )
    seconds = time.perf_counter() - begun
    print(f"{count:,} rows in {seconds:.1f} s: " + ", ".join(said.split("\n")), flush=True)
    return {"rows_per_second": count / seconds, "peak_rss_mb": peak, "peak_own_mb": own}


def manage(environment: dict, *arguments: str) -> tuple[str, float, float]:
    """What the command said; the peak of its memory in MB, with that of the processes that it
    starts, and of what of it is no file's.
    """
    command = [sys.executable, "manage.py", *arguments]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    peak, own, pid = 0.0, 0.0, 0
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, **quiet
    ) as process:  # it says less than a pipe holds
        while not pid:
            family = [process.pid, *children(process.pid)]
            peak = max(peak, sum(memory(member, "VmRSS") for member in family))
            own = max(own, sum(memory(member, "RssAnon") for member in family))
            time.sleep(0.05)
            pid, status = os.waitpid(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        said = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"manage.py {arguments[0]} failed: {said}")
    return said.strip(), peak, own


def memory(pid: int, name: str) -> float:
    """So many MB: VmRSS, or RssAnon, which is without mapped files. SQLite maps up to 256 MB of the
    database, which the system takes back at will.
    """
    try:
        found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:  # it has ended
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def peer(options: argparse.Namespace, file: Path, count: int) -> float:
    """Rows a second of the peer's import of the first `count` prompts."""
    token = json.loads(options.peer_tokens.read_text())["admin"]
    wire = Wire(
        options.peer, {"Authorization": f"Token {token}", "Content-Type": "application/json"}
    )
    made = {"title": f"import {time.time():.0f}", "label_config": PEER_PAGE}
    project = json.loads(wire.ask("POST", "/api/projects", json.dumps(made)).content)["id"]
    with open(file, encoding="utf-8") as lines:
        rows = [{"data": json.loads(line)} for line, _ in zip(lines, range(count))]
    begun = time.perf_counter()
    for start in range(0, count, PEER_CHUNK):
        wire.ask(
            "POST", f"/api/projects/{project}/import", json.dumps(rows[start : start + PEER_CHUNK])
        )
    return count / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
