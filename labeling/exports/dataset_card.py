"""A dataset's card, and the folder that `datasets.load_dataset` opens without a script.

Both are made of what was kept when the dataset was frozen, and of nothing that comes later: the
same bytes each time.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from labeling.exports import formats
from labeling.exports.examples import View
from labeling.models import Prompt
from modelops import charts, datasets, parquet
from modelops.models import Dataset

EXAMPLES = {
    "judgments": "conversational",
    "demonstrations": "prompt-completion",
    "prompts": "prompt-only",
}
SAID = {
    "conversational": "pairs in TRL's conversational preference format: `prompt`, `chosen`, `rejected`",
    "prompt-completion": "TRL's prompt-completion format: `prompt`, `completion`",
    "prompt-only": "TRL's prompt-only format: `prompt`",
}
# Keys of tables.RARE, and the count that a dataset has where some rows have them.
RARE = {"truncated": "truncated", "finish_reason": "cut"}
EPOCH = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # the earliest that a .zip can say: a file's own time would differ from copy to copy


def write_folder(dataset: Dataset, out: BinaryIO) -> None:
    """README.md, and Parquet files by split: examples ready for TRL first, then the frozen rows."""
    rare = [name for name, count in RARE.items() if count in dataset.counts]
    folder, schema = datasets.path(dataset), parquet.schema_of_rows(dataset.kind, rare)
    configs: dict[str, list[str]] = {}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as packed:  # Parquet is compressed already
        for split in splits(dataset):
            if made := _peeked(_examples(dataset, split)):
                with _entry(packed, f"examples/{split}.parquet") as file:
                    formats.apache_parquet(made, file)
                configs.setdefault("examples", []).append(split)
        for split in splits(dataset):
            with _entry(packed, f"rows/{split}.parquet") as file:
                parquet.write((row for _line, row in formats.read(folder, split)), schema, file)
            configs.setdefault("rows", []).append(split)
        for name, bars in plots(dataset).items():
            with _entry(packed, f"plots/{name}.svg") as file:
                file.write(render_to_string("labeling/exports/plot.svg", {"chart": bars}).encode())
        with _entry(packed, "README.md") as file:
            file.write(card(dataset, configs).encode())


def _entry(packed: zipfile.ZipFile, name: str):
    return packed.open(zipfile.ZipInfo(name, EPOCH), "w", force_zip64=True)


def _examples(dataset: Dataset, split: str) -> Iterator[dict]:
    if dataset.kind not in EXAMPLES:
        return iter(())
    return formats.contents(
        datasets.path(dataset), EXAMPLES[dataset.kind], split, View(), dataset.digest
    )


def _peeked(items: Iterator[dict]) -> Iterator[dict] | None:
    first = next(items, None)
    return None if first is None else chain([first], items)


def splits(dataset: Dataset) -> list[str]:
    return [split for split in Prompt.Split.values if split in dataset.counts["splits"]]


BARS = 8


def plots(dataset: Dataset) -> dict[str, charts.Bars]:
    """Who judged, who wrote and in which languages, as bars; of each kind the most frequent."""
    titles = {
        "labelers": _("judgments by labeler"),
        "models": _("answers by model"),
        "languages": _("rows by language"),
    }
    drawn = {name: _bars(title, most_frequent(dataset, name)) for name, title in titles.items()}
    return {name: bars for name, bars in drawn.items() if bars}


def most_frequent(dataset: Dataset, name: str) -> list[tuple[str, int]]:
    """The counts of that name, the highest first. PostgreSQL does not keep the order of keys."""
    counts = dataset.counts.get(name, {})
    return sorted(counts.items(), key=lambda item: item[1], reverse=True)


def _bars(title: str, counts: list[tuple[str, int]]) -> charts.Bars | None:
    named = [(f"#{name}" if name.isdecimal() else name, count) for name, count in counts]
    rest = sum(count for _name, count in named[BARS:])
    return charts.bars(title, named[:BARS] + ([(_("others"), rest)] if rest else []))


# The card


def card(dataset: Dataset, configs: dict[str, list[str]]) -> str:
    """README.md: metadata that `datasets` reads, then what a person wants to know first."""
    return "\n".join(
        [
            *_metadata(dataset, configs),
            "",
            *_about(dataset),
            *_table("Counts", _counts(dataset)),
            *_table("Figures", _figures(dataset)),
            *_plots(dataset),
            *_origin(dataset),
            *_use(dataset),
        ]
    )


def _metadata(dataset: Dataset, configs: dict[str, list[str]]) -> list[str]:
    """The names are Podium's own; only the licence was typed, and is quoted."""
    lines = ["---"]
    if dataset.licence:
        lines.append(f"license: {json.dumps(dataset.licence)}")
    lines.append("configs:")
    for place, (name, held) in enumerate(configs.items()):
        lines.append(f"- config_name: {name}")
        lines += ["  default: true"] if place == 0 else []
        lines.append("  data_files:")
        for split in held:
            lines += [f"  - split: {split}", f"    path: {name}/{split}.parquet"]
    return [*lines, "---"]


def _about(dataset: Dataset) -> list[str]:
    lines = [f"# {dataset.project.slug} {dataset.short}", ""]
    lines += [dataset.note, ""] if dataset.note else []
    lines.append(
        f"Frozen {dataset.created_at:%Y-%m-%d} by Podium; sha256 of the rows `{dataset.digest}`."
    )
    if made := EXAMPLES.get(dataset.kind):
        lines.append(f"`examples` holds {SAID[made]}; `rows` holds the frozen rows themselves.")
    return [*lines, f"Licence: {dataset.licence or 'not stated; ask whoever gave you this'}.", ""]


def _table(title: str, rows: list[tuple[str, object]]) -> list[str]:
    return (
        [
            f"## {title}",
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in rows),
            "",
        ]
        if rows
        else []
    )


def _counts(dataset: Dataset) -> list[tuple[str, object]]:
    counts = dataset.counts
    shown = [
        ("rows", counts["rows"]),
        *((split, counts["splits"][split]) for split in splits(dataset)),
    ]
    if dataset.kind == Dataset.Kind.JUDGMENTS:
        names = ("judgments", "pairs", "judges")
        shown += [(name, counts[name]) for name in names if name in counts]
    if "near_held_out" in counts:
        shown.append(
            ("training rows left out, nearly like a held-out one", counts["near_held_out"])
        )
    return shown


def _figures(dataset: Dataset) -> list[tuple[str, object]]:
    said = {
        "agreement": "pairs on which two labelers of one task agree",
        "ties": "pairs that are tied",
        "longer_wins": "pairs that the longer answer wins",
    }
    return [
        (text, f"{100 * dataset.counts[name]:.1f} %")
        for name, text in said.items()
        if name in dataset.counts
    ]


def _plots(dataset: Dataset) -> list[str]:
    return [
        line
        for name, bars in plots(dataset).items()
        for line in (f"![{bars.title}](plots/{name}.svg)", "")
    ]


def _origin(dataset: Dataset) -> list[str]:
    chosen = [
        (f"`{name}`", str(value).replace("\n", ", "))
        for name, value in dataset.query.items()
        if name not in HIDDEN
    ]
    lines = _table("What was chosen", chosen)
    for name, title in (
        ("models", "Models that wrote the answers"),
        ("outcomes", "Outcomes"),
        ("languages", "Languages"),
    ):
        lines += _table(title, most_frequent(dataset, name))
    return [*lines, "Labelers are numbers, which mean nothing in another dataset.", ""]


HIDDEN = ("note", "licence", "without", "replaces")  # said elsewhere, or of persons


def _use(dataset: Dataset) -> list[str]:
    return ["## Load", "", "```python", *snippet(dataset, "FOLDER"), "```", ""]


def snippet(dataset: Dataset, folder: str) -> list[str]:
    """The lines of Python that load the folder, and train on it with TRL."""
    trainer = {
        "judgments": "RewardTrainer",
        "demonstrations": "SFTTrainer",
        "text": "SFTTrainer",
    }.get(dataset.kind)
    lines = [f'rows = datasets.load_dataset("{folder}", split="train")']
    if trainer:
        lines += [
            f'trainer = trl.{trainer}("folder-of-your-model", train_dataset=rows)',
            "trainer.train()",
        ]
    return lines
