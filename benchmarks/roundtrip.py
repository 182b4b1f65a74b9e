"""What comes in goes out again: whole files through import, freezing and export, row by row.

hh-rlhf's test split is imported as it is, frozen and exported as hh-rlhf: both are held against
each other as multisets. Open-Assistant's trees are imported, and every rank is looked for in the
listwise export. Rows that are not found again are counted; so are rows that nobody put in. Where
asked, a Label Studio takes the Label Studio file of both in.

    python benchmarks/roundtrip.py --data FOLDER --json figures.json
    python benchmarks/roundtrip.py --data FOLDER --peer http://127.0.0.1:8082 --peer-tokens FILE
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.annotators import PEER_PAGE, Wire  # noqa: E402

# What Open-Assistant's files say besides, and no dataset holds
LEFT_OUT = {
    "open-assistant": [
        "tree_state",
        *(f"prompt.{name}" for name in ("message_id", "parent_id", "review_count", "emojis")),
    ]
}
ROLES = {"prompter": "user", "assistant": "assistant"}


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="podium-roundtrip-") as scratch:
        begin(Path(scratch))
        transcripts, trees = (
            next(options.data.rglob(name)) for name in ("*test.jsonl.gz", "en_100_tree.jsonl")
        )
        figures, lost = {}, 0
        for name, file, put_in in (
            ("hh-rlhf", transcripts, compared),
            ("open-assistant", trees, ranked),
        ):
            dataset = through(name, file)
            missing, foreign, rows = held_against(
                Counter(put_in(file)), Counter(came_out(name, dataset))
            )
            lost += missing + foreign
            figures |= {
                f"{name}_rows": rows,
                f"{name}_missing": missing,
                f"{name}_foreign": foreign,
            }
            if options.peer:
                figures[f"{name}_tasks_in_peer"] = taken_in(options, dataset)
        figures["rows_lost"] = lost
    for name, value in figures.items():
        print(f"{name:32}{value:10}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    sys.exit(lost > 0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="a folder with hh-rlhf's test split and the trees"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="taken for other benchmarks' sake; this one takes seconds",
    )
    parser.add_argument(
        "--peer", metavar="URL", help="a running Label Studio that takes the Label Studio file in"
    )
    parser.add_argument("--peer-tokens", type=Path, help='its tokens: {"admin": ...}')
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


def begin(var: Path) -> None:
    """A fresh database in a folder of its own."""
    os.environ |= {
        "PODIUM_VAR": str(var),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": "",
    }
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def through(format: str, file: Path):
    """The file imported unchanged into its own project, all into one split, and frozen."""
    from django.core.management import call_command

    from labeling import project_settings
    from labeling.exports import freeze

    project = project_settings.make(slug=format, name=format)
    call_command(
        "import",
        str(file),
        project=format,
        format=format,
        leave_out=LEFT_OUT.get(format, []),
        split="test",
        no_cleaning=True,
        verbosity=0,
    )
    return freeze.freeze_now(None, project)


def exported(dataset, format: str) -> Iterator[dict]:
    from django.core.management import call_command

    with tempfile.NamedTemporaryFile(suffix=".jsonl") as out:
        call_command("export", dataset.digest, format=format, output=Path(out.name))
        yield from map(json.loads, Path(out.name).read_text(encoding="utf-8").splitlines())


# What was put in, and what came out, as things that can be counted


def compared(file: Path) -> Iterator[str]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield json.dumps([row["chosen"], row["rejected"]])


def ranked(file: Path) -> Iterator[str]:
    """One for each prompt whose answers people ranked: the conversation, and each answer with its
    rank among them.
    """
    for line in file.read_text(encoding="utf-8").splitlines():
        yield from below(json.loads(line)["prompt"], [])


def below(message: dict, before: list) -> Iterator[str]:
    said = [*before, [ROLES[message["role"]], message["text"]]]
    told = [reply for reply in message["replies"] if reply.get("rank") is not None]
    if message["role"] == "prompter" and len(told) > 1:
        yield counted(said, [(reply["text"], reply["rank"]) for reply in told])
    for reply in message["replies"]:
        yield from below(reply, said)


def counted(said: list, answers: Iterable[tuple[str, int]]) -> str:
    """Ranks as an order: where they start counting, and which are left out, says nothing."""
    answers = list(answers)
    dense = sorted({rank for _text, rank in answers})
    return json.dumps([said, sorted((text, dense.index(rank)) for text, rank in answers)])


def came_out(format: str, dataset) -> Iterator[str]:
    if format == "hh-rlhf":
        yield from (
            json.dumps([row["chosen"], row["rejected"]]) for row in exported(dataset, "hh-rlhf")
        )
        return
    for row in exported(dataset, "listwise"):
        answers = [
            (text, rank) for text, rank in zip(row["completions"], row["ranks"]) if rank is not None
        ]
        yield counted([[turn["role"], turn["content"]] for turn in row["prompt"]], answers)


def held_against(put_in: Counter, came: Counter) -> tuple[int, int, int]:
    """How many are missing, how many nobody put in, and how many were put in."""
    return (put_in - came).total(), (came - put_in).total(), put_in.total()


def taken_in(options: argparse.Namespace, dataset) -> int:
    """How many of the dataset's tasks the peer counts after it has imported its own format."""
    token = json.loads(options.peer_tokens.read_text())["admin"]
    wire = Wire(
        options.peer, {"Authorization": f"Token {token}", "Content-Type": "application/json"}
    )
    made = {
        "title": f"round trip {time.time():.0f}",
        "label_config": PEER_PAGE.replace("$items", "$answers"),
    }
    project = json.loads(wire.ask("POST", "/api/projects", json.dumps(made)).content)["id"]
    tasks = list(tasks_of(dataset))
    for start in range(0, len(tasks), 500):
        wire.ask("POST", f"/api/projects/{project}/import", json.dumps(tasks[start : start + 500]))
    return json.loads(wire.get(f"/api/projects/{project}").content)["task_number"]


def tasks_of(dataset) -> Iterator[dict]:
    from django.core.management import call_command

    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        call_command("export", dataset.digest, format="label-studio", output=Path(out.name))
        yield from json.loads(Path(out.name).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
