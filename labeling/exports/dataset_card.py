"""A dataset's card (README.md), and the folder that `datasets.load_dataset` opens without a script.

Both use only what was stored when the dataset was frozen, so that each copy has the same bytes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import IO, Any, BinaryIO

from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from labeling.exports import formats, hub_vocabulary
from labeling.exports.examples import View
from labeling.exports.statistics import MOST
from labeling.models import Prompt
from modelops import charts, datasets, parquet, rows
from modelops.hashing import Watch, unwatched
from modelops.models import Dataset

EXAMPLES = {
    "judgments": "conversational",
    "demonstrations": "prompt-completion",
    "prompts": "prompt-only",
}
FORMAT_TEXTS = {
    "conversational": (
        "pairs in TRL's conversational preference format: `prompt`, `chosen`, `rejected`"
    ),
    "prompt-completion": "TRL's prompt-completion format: `prompt`, `completion`",
    "prompt-only": "TRL's prompt-only format: `prompt`",
}
# Keys that only some rows have (parquet.RARE), and the count that shows that a dataset has them.
RARE = {
    "truncated": "truncated",
    "finish_reason": "cut",
    "turns": "structured",
    "scores": "scores",
    "spans": "spans",
    "prompted": "prompted",
    "answer_turns": "answers_of_turns",
    "judge_kind": "other_judges",
}
# The earliest time that a .zip can hold. A file's own time would differ from copy to copy.
EPOCH = (1980, 1, 1, 0, 0, 0)


def write_folder(dataset: Dataset, out: BinaryIO, watch: Watch = unwatched) -> None:
    """Write README.md and Parquet files by split: examples ready for TRL, and the frozen rows."""
    folder = datasets.path(dataset)
    configs: dict[str, list[str]] = {}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:  # Parquet is compressed already
        for split in splits(dataset):
            if examples := _unless_empty(_examples(dataset, split, watch)):
                with _entry(archive, f"examples/{split}.parquet") as file:
                    formats.apache_parquet(examples, file, formats.structured(dataset.counts))
                configs.setdefault("examples", []).append(split)
        for split in splits(dataset):
            with _entry(archive, f"rows/{split}.parquet") as file:
                write_rows(dataset, split, file, watch)
            configs.setdefault("rows", []).append(split)
        for name, bars in plots(dataset).items():
            with _entry(archive, f"plots/{name}.svg") as file:
                file.write(render_to_string("labeling/exports/plot.svg", {"chart": bars}).encode())
        if (folder / rows.SCHEMA).exists():
            with _entry(archive, rows.SCHEMA) as file:
                file.write((folder / rows.SCHEMA).read_bytes())
        with _entry(archive, "README.md") as file:
            file.write(card(dataset, configs).encode())


def write_rows(dataset: Dataset, split: str, out: IO[bytes], watch: Watch = unwatched) -> None:
    """Write the frozen rows of a split (or all) as Parquet, with the same columns in each file."""
    rare = {name for name, count in RARE.items() if count in dataset.counts}
    of_split = formats.read(datasets.path(dataset), split, watch)
    items = (parquet.with_rare(row, rare) for _line, row in of_split)
    parquet.write(items, parquet.schema_of_rows(dataset.kind, rare), out)


def _entry(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    return archive.open(zipfile.ZipInfo(name, EPOCH), "w", force_zip64=True)


def _examples(dataset: Dataset, split: str, watch: Watch) -> Iterator[dict[str, Any]]:
    if dataset.kind not in EXAMPLES:
        return iter(())
    return formats.contents(
        datasets.path(dataset), EXAMPLES[dataset.kind], split, View(), dataset.digest, watch
    )


def passes(dataset: Dataset) -> int:
    """How often write_folder() reads the rows."""
    return len(splits(dataset)) * (1 + (dataset.kind in EXAMPLES))


def _unless_empty(items: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]] | None:
    """The items, or None if there are none."""
    first = next(items, None)
    return None if first is None else chain([first], items)


def splits(dataset: Dataset) -> list[str]:
    return [split for split in Prompt.Split.values if split in dataset.counts["splits"]]


BARS = 8


def plots(dataset: Dataset, whole: bool = False) -> dict[str, charts.Bars]:
    """Bar charts of the most frequent labelers, models and languages.

    `whole` counts rows without a language too. Downloads stay as they are, byte for byte: theirs
    don't.
    """
    titles = {
        "labelers": _("judgments by labeler"),
        "models": _("answers by model"),
        "languages": _("rows by language"),
    }
    counts = {name: most_frequent(dataset, name) for name in titles}
    languages = counts["languages"]
    missing = dataset.counts["rows"] - sum(count for _name, count in languages)
    if (
        whole and languages and missing > 0
    ):  # further languages, where as many as are counted by name
        languages.append((_("none") if len(languages) < MOST else _("others"), missing))
    drawn = {name: _bars(title, counts[name]) for name, title in titles.items()}
    return {name: bars for name, bars in drawn.items() if bars}


def most_frequent(dataset: Dataset, name: str) -> list[tuple[str, int]]:
    """The counts of that name, the highest first. PostgreSQL does not keep the order of keys."""
    counts = dataset.counts.get(name, {})
    return sorted(counts.items(), key=lambda item: item[1], reverse=True)


def _bars(title: str, counts: list[tuple[str, int]]) -> charts.Bars | None:
    named = [(f"#{name}" if name.isdecimal() else name, count) for name, count in counts]
    shown = named[:BARS]
    if others := sum(count for _name, count in named[BARS:]):
        shown.append((_("others"), others))
    return charts.bars(title, shown)


# The card


def card(dataset: Dataset, configs: dict[str, list[str]]) -> str:
    """README.md: metadata for `datasets`, then what a reader needs to know first."""
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
    """The YAML header, in the words of the Hub."""
    lines = ["---", *hub_vocabulary.metadata(dataset), "configs:"]
    for number, (name, splits_of_config) in enumerate(configs.items()):
        lines.append(f"- config_name: {name}")
        if number == 0:
            lines.append("  default: true")
        lines.append("  data_files:")
        for split in splits_of_config:
            lines += [f"  - split: {split}", f"    path: {name}/{split}.parquet"]
    return [*lines, "---"]


def _about(dataset: Dataset) -> list[str]:
    lines = [f"# {dataset.project.slug} {dataset.short}", ""]
    lines += [dataset.note, ""] if dataset.note else []
    lines.append(
        f"Frozen {dataset.created_at:%Y-%m-%d} by Podium; sha256 of the rows `{dataset.digest}`."
    )
    if format := EXAMPLES.get(dataset.kind):
        text = FORMAT_TEXTS[format]
        lines.append(f"`examples` holds {text}; `rows` holds the frozen rows themselves.")
    return [*lines, f"Licence: {dataset.licence or 'not stated; ask whoever gave you this'}.", ""]


def _table(title: str, rows: Sequence[tuple[str, object]]) -> list[str]:
    """A table under a heading; nothing if it has no rows."""
    if not rows:
        return []
    body = [f"| {name} | {value} |" for name, value in rows]
    return [f"## {title}", "", "| | |", "|---|---|", *body, ""]


def _counts(dataset: Dataset) -> Sequence[tuple[str, object]]:
    counts = dataset.counts
    shown = [("rows", counts["rows"])]
    shown += [(split, counts["splits"][split]) for split in splits(dataset)]
    if dataset.kind == Dataset.Kind.JUDGMENTS:
        names = ("judgments", "pairs", "judges")
        shown += [(name, counts[name]) for name in names if name in counts]
    if "spans" in counts:
        shown.append(("spans", counts["spans"]))
    if "prompted" in counts:
        title = "of these judgments made after seeing what others say, left out of the agreement"
        shown.append((title, counts["prompted"]))
    if "near_held_out" in counts:
        title = "training rows left out, nearly like a held-out one"
        shown.append((title, counts["near_held_out"]))
    return shown


def _figures(dataset: Dataset) -> Sequence[tuple[str, object]]:
    counts = dataset.counts
    titles = {
        "agreement": "pairs on which two labelers of one task agree",
        "ties": "pairs that are tied",
        "longer_wins": "pairs that the longer answer wins",
    }
    return [
        (title, f"{100 * counts[name]:.1f} %") for name, title in titles.items() if name in counts
    ]


def _plots(dataset: Dataset) -> list[str]:
    lines = []
    for name, bars in plots(dataset).items():
        lines += [f"![{bars.title}](plots/{name}.svg)", ""]
    return lines


def _origin(dataset: Dataset) -> list[str]:
    chosen = [
        (f"`{name}`", str(value).replace("\n", ", "))
        for name, value in dataset.query.items()
        if name not in HIDDEN
    ]
    lines = _table("What was chosen", chosen)
    titles = {
        "models": "Models that wrote the answers",
        "outcomes": "Outcomes",
        "judge_kinds": "Judgments by kind of judge",
        "languages": "Languages",
    }
    for name, title in titles.items():
        lines += _table(title, most_frequent(dataset, name))
    lines += _table("Scores by criterion", sorted(dataset.counts.get("scores", {}).items()))
    return [*lines, "Labelers are numbers, which mean nothing in another dataset.", ""]


HIDDEN = ("note", "licence", "without", "replaces")  # shown elsewhere, or about persons


def _use(dataset: Dataset) -> list[str]:
    return ["## Load", "", "```python", *snippet(dataset, "FOLDER"), "```", ""]


def snippet(dataset: Dataset, folder: str) -> list[str]:
    """Python that loads the folder, and trains on it with TRL."""
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
