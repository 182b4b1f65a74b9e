"""The files that the loop's run imports: prompts, and ranked answers with shuffled ranks."""

from __future__ import annotations

import json
import random
from pathlib import Path


def prompts(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def quarter(file: Path, folder: Path) -> Path:
    short = folder / file.name
    short.write_text(
        "\n".join(file.read_text(encoding="utf-8").splitlines()[::4]), encoding="utf-8"
    )
    return short


def shuffled(lines: list[dict], seed: int) -> list[dict]:
    """The same ranked answers with each task's ranks dealt out anew among its answers."""
    deal = random.Random(seed)
    return [line | {"answers": _dealt(line["answers"], deal)} for line in lines]


def _dealt(answers: list[dict], deal: random.Random) -> list[dict]:
    ranks = deal.sample([answer["rank"] for answer in answers], len(answers))
    return [answer | {"rank": rank} for answer, rank in zip(answers, ranks, strict=True)]


def ranked_lines(rows: list[dict]) -> list[dict]:
    """Frozen rows as an import file: the first judgment's ranks beside the answers."""
    return [
        {
            "messages": row["messages"],
            "split": row["split"],
            "answers": [
                {"text": answer["text"], "model": answer["model"], "rank": rank}
                for answer, rank in zip(row["answers"], row["judgments"][0]["ranks"], strict=True)
            ],
        }
        for row in rows
    ]
