"""Frozen rows to the files that people take home: each format is a view of the rows, and a way to
write an example.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from django.utils.translation import gettext_lazy as _

from labeling.exports import examples
from labeling.exports.examples import View
from modelops import parquet

Examples = Iterator[dict]
JUDGED, WRITTEN = ("judgments",), ("demonstrations",)
WITH_PROMPTS = ("judgments", "demonstrations", "prompts")
EVERYTHING = ("judgments", "demonstrations", "prompts", "text")


def read(folder: Path, split: str = "") -> Iterator[tuple[bytes, dict]]:
    """The frozen rows of a split, or all, one at a time: as they lie there, and read."""
    with open(folder / "rows.jsonl", "rb") as lines:
        for line in lines:
            row = orjson.loads(line)
            if split in ("", row["split"]):
                yield line, row


# How a conversation is written


def said(text: str) -> list[dict]:
    return [{"role": "assistant", "content": text}]


def plain(messages: list[dict]) -> str:
    """A conversation as one text: its words where the user says one thing, a transcript otherwise."""
    return (
        messages[0]["content"]
        if [turn["role"] for turn in messages] == ["user"]
        else transcript(messages)
    )


SPEAKERS = {"user": "Human", "assistant": "Assistant", "system": "System"}


def transcript(messages: list[dict]) -> str:
    """As hh-rlhf writes conversations."""
    return "".join(
        f"\n\n{SPEAKERS.get(turn['role'], turn['role'])}: {turn['content']}" for turn in messages
    )


# Examples: of one row, whatever each format makes of it


def _pairs(write: Callable[[dict, str, str], dict]) -> Callable[[dict, View, str], Examples]:
    """`write(row, chosen, rejected)` for each pair."""

    def of_row(row: dict, view: View, dataset: str) -> Examples:
        texts = [answer["text"] for answer in row["answers"]]
        for winner, loser, judgment in examples.pairs(row, view):
            example = write(row, texts[winner], texts[loser])
            if view.metadata:
                example |= examples.beside(row, judgment, dataset)
                example |= examples.of_answer(row, judgment, winner, "chosen")
                example |= examples.of_answer(row, judgment, loser, "rejected")
            elif view.judged == "consensus":
                example["weight"] = judgment["weight"]
            yield example

    return of_row


def conversational(row: dict, chosen: str, rejected: str) -> dict:
    return {"prompt": row["messages"], "chosen": said(chosen), "rejected": said(rejected)}


def explicit(row: dict, chosen: str, rejected: str) -> dict:
    return {"prompt": plain(row["messages"]), "chosen": chosen, "rejected": rejected}


def implicit(row: dict, chosen: str, rejected: str) -> dict:
    return {"chosen": row["messages"] + said(chosen), "rejected": row["messages"] + said(rejected)}


def hh_rlhf(row: dict, chosen: str, rejected: str) -> dict:
    start = transcript(row["messages"]) + "\n\nAssistant: "
    return {"chosen": start + chosen, "rejected": start + rejected}


def unpaired(row: dict, view: View, dataset: str) -> Examples:
    for position, good, judgment in examples.labelled(row, view):
        example = {
            "prompt": row["messages"],
            "completion": said(row["answers"][position]["text"]),
            "label": good,
        }
        if view.metadata:
            example |= examples.beside(row, judgment, dataset) | examples.of_answer(
                row, judgment, position, "answer"
            )
        yield example


def prompt_completion(row: dict, view: View, dataset: str) -> Examples:
    """What a person wrote, or the answer with the best mean rank, the first of equals."""
    if "text" in row:
        answer, judgment = row["text"], None
    else:
        judgment = next(iter(examples.consensus(row)), None)
        if judgment is None:
            return
        answer = row["answers"][judgment["ranks"].index(1)]["text"]
    example = {"prompt": row["messages"], "completion": said(answer)}
    yield example | examples.beside(row, judgment, dataset) if view.metadata else example


def prompt_only(row: dict, view: View, dataset: str) -> Examples:
    example = {"prompt": row["messages"]}
    yield example | examples.beside(row, None, dataset) if view.metadata else example


def listwise(row: dict, view: View, dataset: str) -> Examples:
    """A judgment with all answers: equal ranks are ties, and where nothing was ranked there are no
    ranks.
    """
    for judgment in examples.judgments(row, view):
        example = {
            "prompt": row["messages"],
            "completions": [answer["text"] for answer in row["answers"]],
        }
        example |= {name: judgment[name] for name in ("ranks", "outcome", "weight")}
        if view.metadata:
            about = {name: judgment[name] for name in ("ratings", "flags")}
            about["models"] = [answer["model"] for answer in row["answers"]]
            example |= about | examples.beside(row, judgment, dataset)
        yield example


def label_studio(row: dict, view: View, dataset: str) -> Examples:
    """One task: its answers are the items of a Ranker, its judgments annotations whose buckets "1",
    "2" … are ranks.
    """
    items = [
        {"id": str(answer["id"]), "title": "", "body": answer["text"]} for answer in row["answers"]
    ]
    data = {"prompt": plain(row["messages"]), "messages": row["messages"], "answers": items}
    if view.metadata:
        data |= examples.beside(row, None, dataset)
    done = [_ranker(judgment) for judgment in examples.judgments(row, view) if judgment["ranks"]]
    yield {"data": data, "annotations": done}


def _ranker(judgment: dict) -> dict:
    buckets: dict[str, list[str]] = {}
    for position, rank in sorted(enumerate(judgment["ranks"]), key=lambda one: one[1]):
        buckets.setdefault(str(rank), []).append(str(position))
    result = {
        "from_name": "rank",
        "to_name": "answers",
        "type": "ranker",
        "value": {"ranker": buckets},
    }
    return {"result": [result], "lead_time": judgment["seconds"]}


def flat(row: dict, view: View, dataset: str) -> Examples:
    """What fits into the cells of a table: pairs, or a prompt and what was written to it."""
    if "answers" in row:
        yield from _pairs(explicit)(row, view, dataset)
        return
    example = {"prompt": plain(row["messages"])} if "messages" in row else {}
    example |= {"text": row["text"]} if "text" in row else {}
    yield example | examples.beside(row, None, dataset) if view.metadata else example


# Files


def json_lines(items: Iterable[dict], out: BinaryIO) -> None:
    for group in parquet.groups(items, 1000):
        out.write(b"".join(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE) for item in group))


def json_array(items: Iterable[dict], out: BinaryIO) -> None:
    start = b"[\n"
    for item in items:
        out.write(start + orjson.dumps(item))
        start = b",\n"
    out.write(b"\n]\n" if start != b"[\n" else b"[]\n")


def gzipped(items: Iterable[dict], out: BinaryIO) -> None:
    """Without a name or a time, so that the same rows are the same bytes."""
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0, compresslevel=6) as packed:
        json_lines(items, packed)


def zstandard(items: Iterable[dict], out: BinaryIO) -> None:
    import pyarrow as pa

    with pa.CompressedOutputStream(pa.PythonFile(_Borrowed(out), mode="w"), "zstd") as packed:
        json_lines(items, packed)


class _Borrowed(io.RawIOBase):
    """A file that pyarrow may close: whoever opened the one below still has to sync it."""

    def __init__(self, below: BinaryIO):
        self.below = below

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        return self.below.write(data)


def apache_parquet(items: Iterable[dict], out: BinaryIO) -> None:
    """The columns are those of the first rows: every example of a format has the same."""
    import pyarrow as pa

    items = iter(items)
    first = next(parquet.groups(items), [])
    if not first:
        return parquet.write([], pa.schema([]), out)
    schema = _without_nulls(pa.Table.from_pylist(first).schema)
    return parquet.write(chain(first, items), schema, out)


def _without_nulls(schema: Any) -> Any:
    """A column without a value in the first rows may have one later; its name says of what type."""
    import pyarrow as pa

    return pa.schema([(column.name, _known(column.type, column.name)) for column in schema])


def _known(kind: Any, name: str) -> Any:
    import pyarrow as pa

    if pa.types.is_list(kind):
        return pa.list_(_known(kind.value_type, name))
    if not pa.types.is_null(kind):
        return kind
    return (
        pa.string()
        if name.endswith("flags")
        else pa.float64()
        if name == "agreement"
        else pa.int64()
    )


FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: Any) -> Any:
    """A spreadsheet runs a text that looks like a formula; an apostrophe before it makes it a text."""
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def comma_separated(items: Iterable[dict], out: BinaryIO) -> None:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = None
    for item in items:
        if writer is None:
            writer = csv.DictWriter(text, list(item))
            writer.writeheader()
        writer.writerow({name: cell(value) for name, value in item.items()})
    text.detach()


FILES: dict[str, Callable[[Iterable[dict], BinaryIO], None]] = {
    "jsonl": json_lines,
    "jsonl.gz": gzipped,
    "jsonl.zst": zstandard,
    "parquet": apache_parquet,
    "csv": comma_separated,
    "json": json_array,
}
CONTENT_TYPES = {
    "jsonl": "application/x-ndjson",
    "jsonl.gz": "application/gzip",
    "jsonl.zst": "application/zstd",
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "zip": "application/zip",
}
COLUMNAR = ("jsonl", "jsonl.gz", "jsonl.zst", "parquet")
LINES = ("jsonl", "jsonl.gz", "jsonl.zst")


@dataclass(frozen=True)
class Format:
    """A way to take a dataset home: what it is called, what it makes of a row, of which kinds, in
    which files.
    """

    label: Any
    examples: Callable[[dict, View, str], Examples] | None
    kinds: tuple[str, ...] = JUDGED
    files: tuple[str, ...] = COLUMNAR
    ties: bool = False  # whether two answers of one rank are still of one rank in the file
    options: tuple[str, ...] = ()  # of View, those that change it


PAIRS = ("pairs", "judged", "metadata")
FORMATS = {
    "conversational": Format(
        _("pairs: TRL, conversational"), _pairs(conversational), options=PAIRS
    ),
    "trl": Format(_("pairs: TRL, plain text"), _pairs(explicit), options=PAIRS),
    "trl-implicit": Format(_("pairs: TRL, prompt not apart"), _pairs(implicit), options=PAIRS),
    "unpaired": Format(
        _("good and bad answers: TRL, for KTO"), unpaired, options=("judged", "metadata")
    ),
    "prompt-completion": Format(
        _("prompt and best answer: TRL, for SFT"),
        prompt_completion,
        ("judgments", "demonstrations"),
        options=("metadata",),
    ),
    "prompt-only": Format(
        _("prompts alone: TRL"), prompt_only, WITH_PROMPTS, options=("metadata",)
    ),
    "hh-rlhf": Format(_("pairs: hh-rlhf transcripts"), _pairs(hh_rlhf), options=PAIRS),
    "listwise": Format(_("whole rankings"), listwise, ties=True, options=("judged", "metadata")),
    "label-studio": Format(
        _("tasks for Label Studio"),
        label_studio,
        files=("json",),
        ties=True,
        options=("judged", "metadata"),
    ),
    "csv": Format(_("a table for spreadsheets"), flat, EVERYTHING, ("csv",), options=PAIRS),
    "rows": Format(
        _("the frozen rows"), None, EVERYTHING, LINES, ties=True
    ),  # byte for byte, see below
    "folder": Format(
        _("a folder that load_dataset opens"), None, EVERYTHING, ("zip",), ties=True
    ),  # card.py
}


def contents(folder: Path, format: str, split: str, view: View, dataset: str) -> Iterator[dict]:
    """What the file holds; frozen rows go in byte for byte, as the dataset's id was made of them."""
    if format == "rows":
        yield from (orjson.Fragment(line.rstrip(b"\n")) for line, _row in read(folder, split))
        return
    make = FORMATS[format].examples
    for _line, row in read(folder, split):
        yield from make(row, view, dataset)
