"""Write docs/presets.md from the presets of imports: `python docs/make_presets.py`. A test fails
when it was forgotten.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
PRESETS = HERE.parent / "labeling/imports/mapping/presets"
HEAD = """\
# Presets of imports

Each is a mapping for the files of one public set or tool: `--format NAME` on the command line, the
list *What a line holds* on the page. A file is recognised by its fields. What a preset neither
reads nor leaves out is named before anything is imported. To change one, take its file as a start:
`manage.py import --mapping FILE.toml`.

This file is made from `labeling/imports/mapping/presets/` by `python docs/make_presets.py`. The
comment of each of those files says where its codes are from.

| format | a file of | who judged | what decides | kept as metadata | stays behind |
|---|---|---|---|---|---|
"""
LETTERS = {"a": "A", "b": "B", "tie": "tie", "both_bad": "all bad"}


def text() -> str:
    paths = sorted(PRESETS.glob("*.toml"))
    return HEAD + "".join(
        row(path.stem, tomllib.loads(path.read_text(encoding="utf-8"))) for path in paths
    )


def row(name: str, table: dict) -> str:
    sets = ", ".join(f"`{hub}`" for hub in table.get("hub", []))
    given = table.get("judgment", {})
    judgments = given if isinstance(given, list) else [given]
    cells = [
        f"`{name}`",
        table["label"] + (f" ({sets})" if sets else ""),
        "; ".join(dict.fromkeys(filter(None, map(judge, judgments)))),
        decides(table, judgments),
        fields(table.get("keep", [])),
        fields(table.get("leave_out", [])),
    ]
    return f"| {' | '.join(cells)} |\n"


def fields(paths: list[str]) -> str:
    return ", ".join(f"`{path}`" for path in paths)


def judge(judgment: dict) -> str:
    if not judgment:
        return ""
    named = judgment["judge"]
    name = named["value"] if isinstance(named, dict) else f"`{named}`"
    kind = judgment["kind"]
    return f"{name}: {kind if isinstance(kind, str) else 'by name'}"


def decides(table: dict, judgments: list[dict]) -> str:
    """What the verdict is read from, with its codes."""
    if table.get("refuse"):
        return f"refused: {table['refuse']}"
    if "chosen" in table:
        return f"`{path_of(table['chosen'])}` before `{path_of(table['rejected'])}`"
    written = "; ".join(filter(None, map(verdict, judgments)))
    answers = table.get("answers", [])
    answers = answers if isinstance(answers, list) else [answers]
    if written or not judgments[0] or not answers:
        return written
    rule = "rank" if "rank" in answers[0] else "score"
    better = judgments[0].get("better", "higher") if rule == "score" else "lower"
    return f"{fields([answer[rule] for answer in answers])}: {better} is better"


def path_of(answer: dict) -> str:
    content = answer["text"]
    return content if isinstance(content, str) else content["field"]


def verdict(judgment: dict) -> str:
    if winner := judgment.get("winner"):
        codes = [
            f"{', '.join(map(str, winner[name]))} = {letter}"
            for name, letter in LETTERS.items()
            if name in winner
        ]
        return f"`{winner['field']}`: {', '.join(codes)}"
    if columns := judgment.get("one_hot"):
        return ", ".join(f"`{path}` = {LETTERS[name]}" for name, path in columns.items())
    if scale := judgment.get("scale"):
        return f"`{scale['field']}`: {scale['a']} = A, {scale['b']} = B, {scale['tie']} = tie"
    if label := judgment.get("label"):
        return f"`{label}`: good, or all bad"
    return ""


if __name__ == "__main__":
    (HERE / "presets.md").write_text(text(), encoding="utf-8")
