"""Formats of downloads: each turns frozen rows into examples, and writes them to a file."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, combinations
from pathlib import Path
from typing import IO, Any

import orjson
from django.utils.translation import gettext_lazy as _

from labeling.exports import examples
from labeling.exports.examples import View
from modelops import parquet, rows
from modelops.hashing import Watch, unwatched
from modelops.rows import answer_turns, called, transcript, turn_text

Examples = Iterator[dict[str, Any]]
JUDGED = ("judgments",)
WITH_PROMPTS = ("judgments", "demonstrations", "prompts")
EVERYTHING = ("judgments", "demonstrations", "prompts", "text")


def read(
    folder: Path, split: str = "", watch: Watch = unwatched
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield the frozen rows of a split (or all), one at a time: (the line as stored, the row).

    `watch` is told of every line of the file. Raises what it raises.
    """
    with open(folder / "rows.jsonl", "rb") as lines:
        for line in lines:
            watch(len(line))
            row = orjson.loads(line)
            if split in ("", row["split"]):
                yield line, row


# How a conversation is written


def turns(row: dict[str, Any]) -> list[dict[str, Any]]:
    """A row's conversation as chat templates and TRL read it."""
    return [called(turn) for turn in row["messages"]]


def completion(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """An answer's turns as chat templates and TRL read them."""
    return [called(turn) for turn in answer_turns(answer)]


def structured(counts: dict[str, Any]) -> bool:
    """Whether a dataset with these counts has turns that hold more than a role and a text."""
    return bool(counts.get("structured") or counts.get("answers_of_turns"))


def plain(messages: list[dict[str, Any]]) -> str:
    """A conversation as one text: the user's words if that is all, a transcript otherwise."""
    roles = [turn["role"] for turn in messages]
    return turn_text(messages[0]) if roles == ["user"] else transcript(messages)


# Examples: what each format makes of one row


def _pair_examples(
    write: Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], dict[str, Any]],
) -> Callable[[dict[str, Any], View, str], Examples]:
    """The examples of a format of pairs: `write(row, chosen, rejected)` for each pair."""

    def of_row(row: dict[str, Any], view: View, dataset: str) -> Examples:
        answers = row["answers"]
        for winner, loser, judgment in examples.pairs(row, view):
            example = write(row, answers[winner], answers[loser])
            if view.metadata:
                example |= examples.row_metadata(row, judgment, dataset)
                example |= examples.answer_metadata(row, judgment, winner, "chosen")
                example |= examples.answer_metadata(row, judgment, loser, "rejected")
            elif view.judged == "consensus" or view.weights:
                example["weight"] = judgment["weight"]
            yield example

    return of_row


def conversational(
    row: dict[str, Any], chosen: dict[str, Any], rejected: dict[str, Any]
) -> dict[str, Any]:
    return {
        "prompt": turns(row),
        "chosen": completion(chosen),
        "rejected": completion(rejected),
    }


def explicit(
    row: dict[str, Any], chosen: dict[str, Any], rejected: dict[str, Any]
) -> dict[str, Any]:
    return {
        "prompt": plain(row["messages"]),
        "chosen": chosen["text"],
        "rejected": rejected["text"],
    }


def implicit(
    row: dict[str, Any], chosen: dict[str, Any], rejected: dict[str, Any]
) -> dict[str, Any]:
    return {
        "chosen": turns(row) + completion(chosen),
        "rejected": turns(row) + completion(rejected),
    }


def hh_rlhf(
    row: dict[str, Any], chosen: dict[str, Any], rejected: dict[str, Any]
) -> dict[str, Any]:
    start = transcript(row["messages"]) + "\n\nAssistant: "
    return {"chosen": start + chosen["text"], "rejected": start + rejected["text"]}


def unpaired(row: dict[str, Any], view: View, dataset: str) -> Examples:
    """Single answers, each with a label: whether it is good."""
    for position, good, judgment in examples.labelled(row, view):
        example = {
            "prompt": turns(row),
            "completion": completion(row["answers"][position]),
            "label": good,
        }
        if view.metadata:
            example |= examples.row_metadata(row, judgment, dataset)
            example |= examples.answer_metadata(row, judgment, position, "answer")
        elif view.weights:
            example["weight"] = judgment["weight"]
        yield example


def prompt_completion(row: dict[str, Any], view: View, dataset: str) -> Examples:
    """A demonstration, or the answer with the best mean rank (the first of equals). Answers that
    are all tied have no best one.
    """
    judgment = None
    if "text" in row:
        answer = {"text": row["text"]}
    else:
        judgment = next(iter(examples.consensus(row)), None)
        if judgment is None or all_tied(judgment["ranks"]):
            return
        answer = row["answers"][judgment["ranks"].index(1)]
    example = {"prompt": turns(row), "completion": completion(answer)}
    yield _with_metadata(example, row, judgment, view, dataset)


def all_tied(ranks: list[int]) -> bool:
    return len(ranks) > 1 and max(ranks) == 1


def prompt_only(row: dict[str, Any], view: View, dataset: str) -> Examples:
    yield _with_metadata({"prompt": turns(row)}, row, None, view, dataset)


def _with_metadata(
    example: dict[str, Any],
    row: dict[str, Any],
    judgment: dict[str, Any] | None,
    view: View,
    dataset: str,
) -> dict[str, Any]:
    """The example, with the metadata of its row if the view asks for it."""
    if not view.metadata:
        return example
    return example | examples.row_metadata(row, judgment, dataset)


def listwise(row: dict[str, Any], view: View, dataset: str) -> Examples:
    """A judgment of all answers. Equal ranks are ties; no ranks if nothing was ranked."""
    for judgment in examples.judgments(row, view):
        example = {
            "prompt": turns(row),
            "completions": [answer["text"] for answer in row["answers"]],
        }
        example |= {name: judgment[name] for name in ("ranks", "outcome", "weight")}
        if view.metadata:
            example |= {name: judgment[name] for name in ("ratings", "flags")}
            example["models"] = [answer["model"] for answer in row["answers"]]
            example |= examples.row_metadata(row, judgment, dataset)
        yield example


def label_studio(row: dict[str, Any], view: View, dataset: str) -> Examples:
    """One Label Studio task. Its answers are the items of a Ranker; its judgments are annotations
    whose buckets "1", "2", … are the ranks.
    """
    items = [
        {"id": str(answer["id"]), "title": "", "body": answer["text"]} for answer in row["answers"]
    ]
    data = {"prompt": plain(row["messages"]), "messages": turns(row), "answers": items}
    if view.metadata:
        data |= examples.row_metadata(row, None, dataset)
    annotations = [
        _ranker(judgment) for judgment in examples.judgments(row, view) if judgment["ranks"]
    ]
    yield {"data": data, "annotations": annotations}


def _ranker(judgment: dict[str, Any]) -> dict[str, Any]:
    """An annotation with the result of Label Studio's Ranker."""
    buckets: dict[str, list[str]] = {}
    for position, rank in sorted(enumerate(judgment["ranks"]), key=lambda item: item[1]):
        buckets.setdefault(str(rank), []).append(str(position))
    result = {
        "from_name": "rank",
        "to_name": "answers",
        "type": "ranker",
        "value": {"ranker": buckets},
    }
    return {"result": [result], "lead_time": judgment["seconds"]}


HELPSTEER = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")


def helpsteer(row: dict[str, Any], view: View, dataset: str) -> Examples:
    """An answer with HelpSteer2's five attributes, each the mean of what people said; answers of
    one prompt stand in succession. Without any of the five an answer is left out.
    """
    for position, answer in enumerate(row["answers"]):
        means = {name: examples.mean_score(row, name, position) for name in HELPSTEER}
        if any(mean is not None for mean in means.values()):
            yield {"prompt": plain(row["messages"]), "response": answer["text"]} | means


def fine_grained(row: dict[str, Any], view: View, dataset: str) -> Examples:
    """A ranking as six comparisons of four predictions, or those of K, with what was marked in the
    first prediction as its errors. The errors of the others stand in `feedback 2`, …, which that
    set does not have.
    """
    for judgment in examples.judgments(row, view):
        ranks = judgment["ranks"]
        if not ranks:
            continue
        example: dict[str, Any] = {
            "question": turn_text(row["messages"][-1]),
            "passages": [],
            "text": plain(row["messages"]),
        }
        for number, answer in enumerate(row["answers"], 1):
            example[f"prediction {number}"] = answer["text"]
        for number in range(1, len(ranks) + 1):
            errors = _errors(judgment, number - 1)
            if number == 1 or errors:
                name = "feedback" if number == 1 else f"feedback {number}"
                example[name] = {"errors": errors, "missing-info": [], "corrected-prediction": ""}
        example["preference"] = [
            0 if first == second else 1 if first < second else 2
            for first, second in combinations(ranks, 2)
        ]
        yield example


def _errors(judgment: dict[str, Any], position: int) -> list[dict[str, Any]]:
    """What a judgment marks in one answer, in code points of its text."""
    return [
        {
            "error type": span["label"],
            "explanation": "",
            "start": span["start"],
            "end": span["end"],
        }
        for span in judgment.get("spans", ())
        if span["answer"] == position
    ]


def flat(row: dict[str, Any], view: View, dataset: str) -> Examples:
    """An example that fits a table: a pair, or a prompt and the text that answers it."""
    if "answers" in row:
        yield from _pair_examples(explicit)(row, view, dataset)
        return
    example = {"prompt": plain(row["messages"])} if "messages" in row else {}
    if "text" in row:
        example["text"] = row["text"]
    yield _with_metadata(example, row, None, view, dataset)


# Files


def json_lines(items: Iterable[dict[str, Any]], out: IO[bytes] | gzip.GzipFile) -> None:
    for group in parquet.groups(items, 1000):
        out.write(b"".join(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE) for item in group))


def json_array(items: Iterable[dict[str, Any]], out: IO[bytes]) -> None:
    start = b"[\n"
    for item in items:
        out.write(start + orjson.dumps(item))
        start = b",\n"
    out.write(b"\n]\n" if start != b"[\n" else b"[]\n")


def gzipped(items: Iterable[dict[str, Any]], out: IO[bytes]) -> None:
    """Without a file name or a time, so that the same rows give the same bytes."""
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0, compresslevel=6) as packed:
        json_lines(items, packed)


def zstandard(items: Iterable[dict[str, Any]], out: IO[bytes]) -> None:
    import pyarrow as pa

    with pa.CompressedOutputStream(pa.PythonFile(_Unclosed(out), mode="w"), "zstd") as packed:
        json_lines(items, packed)


class _Unclosed(io.RawIOBase):
    """Hides a file's `close` from pyarrow: the caller still has to sync the file."""

    def __init__(self, file: IO[bytes]):
        self.file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self.file.write(data)


TURNS = ("prompt", "chosen", "rejected", "completion")  # columns that hold turns, or texts


def apache_parquet(
    items: Iterable[dict[str, Any]], out: IO[bytes], structured: bool = False
) -> None:
    """The columns are those of the first rows: every example of a format has the same columns.

    With `structured`, where turns hold more than a text, each turn is JSON.
    """
    import pyarrow as pa

    items = map(_with_json_turns, items) if structured else iter(items)
    first = next(parquet.groups(items), [])
    if not first:
        return parquet.write([], pa.schema([]), out)
    schema = _without_nulls(pa.Table.from_pylist(first).schema)
    if structured:
        schema = pa.schema(
            [
                (column.name, parquet.json_turns())
                if column.name in TURNS and pa.types.is_list(column.type)
                else column
                for column in schema
            ]
        )
    return parquet.write(chain(first, items), schema, out)


def _with_json_turns(item: dict[str, Any]) -> dict[str, Any]:
    lists = {name: item[name] for name in TURNS if isinstance(item.get(name), list)}
    return item | {name: parquet.as_json(turns) for name, turns in lists.items()}


def _without_nulls(schema: Any) -> Any:
    """The schema with a type for each column that has no value in the first rows; a later row may
    have one.
    """
    import pyarrow as pa

    return pa.schema([(column.name, _typed(column.type, column.name)) for column in schema])


def _typed(kind: Any, name: str) -> Any:
    """The type of a column; a null type is replaced by the one that the column's name implies."""
    import pyarrow as pa

    if pa.types.is_list(kind):
        return pa.list_(_typed(kind.value_type, name))
    if not pa.types.is_null(kind):
        return kind
    if name.endswith("flags"):
        return pa.string()
    return pa.float64() if name in ("agreement", *HELPSTEER) else pa.int64()


FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: Any, formulas: bool = False) -> Any:
    """A value for a spreadsheet cell. Text that looks like a formula gets an apostrophe in front,
    so that no spreadsheet runs it; not with `formulas`.
    """
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    if formulas or not isinstance(value, str) or not value.startswith(FORMULA):
        return value
    return f"'{value}"


def comma_separated(
    items: Iterable[dict[str, Any]], out: IO[bytes], bom: bool = False, formulas: bool = False
) -> None:
    """A table with a header. `bom`: it begins with a byte order mark, by which Excel knows UTF-8;
    `formulas`: cells that look like formulas stay as they are.
    """
    if bom:
        out.write(codecs.BOM_UTF8)
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = None
    for item in items:
        if writer is None:
            writer = csv.DictWriter(text, list(item))
            writer.writeheader()
        writer.writerow({name: cell(value, formulas) for name, value in item.items()})
    text.detach()


FILES: dict[str, Callable[[Iterable[dict[str, Any]], IO[bytes]], None]] = {
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
    """A download format: its label, the examples that it makes of a row, the kinds of dataset and
    the file types that it supports.
    """

    label: Any
    examples: Callable[[dict[str, Any], View, str], Examples] | None
    kinds: tuple[str, ...] = JUDGED
    files: tuple[str, ...] = COLUMNAR
    ties: bool = False  # whether the file keeps ties
    options: tuple[str, ...] = ()  # the fields of RenderRecipe that change it
    once: bool = False  # whether each prompt is written once, however many rows it has


PAIRS = ("pairs", "judged", "metadata", "weights")
TABLE = (*PAIRS, "bom", "formulas")
FORMATS = {
    "conversational": Format(
        _("pairs: TRL, conversational"), _pair_examples(conversational), options=PAIRS
    ),
    "trl": Format(_("pairs: TRL, plain text"), _pair_examples(explicit), options=PAIRS),
    "trl-implicit": Format(
        _("pairs: TRL, prompt not apart"), _pair_examples(implicit), options=PAIRS
    ),
    "unpaired": Format(
        _("good and bad answers: TRL, for KTO"), unpaired, options=("judged", "metadata", "weights")
    ),
    "prompt-completion": Format(
        _("prompt and best answer: TRL, for SFT"),
        prompt_completion,
        ("judgments", "demonstrations"),
        options=("metadata", "weights"),
    ),
    "prompt-only": Format(
        _("prompts alone: TRL"), prompt_only, WITH_PROMPTS, options=("metadata",), once=True
    ),
    "hh-rlhf": Format(_("pairs: hh-rlhf transcripts"), _pair_examples(hh_rlhf), options=PAIRS),
    "listwise": Format(
        _("whole rankings"), listwise, ties=True, options=("judged", "metadata", "weights")
    ),
    "label-studio": Format(
        _("tasks for Label Studio"),
        label_studio,
        files=("json",),
        ties=True,
        options=("judged", "metadata"),
    ),
    "helpsteer": Format(_("answers with HelpSteer2's five attributes"), helpsteer),
    "fine-grained": Format(
        _("comparisons and marked passages: FineGrainedRLHF"),
        fine_grained,
        files=("json",),
        ties=True,
    ),
    "csv": Format(_("a table for spreadsheets"), flat, EVERYTHING, ("csv",), options=TABLE),
    # labeling/exports/prompt_metadata.py reads it from the prompts.
    "metadata": Format(
        _("what is known of the prompts: source, licence, metadata"),
        None,
        WITH_PROMPTS,
        LINES,
        ties=True,
    ),
    # `contents` below copies the frozen rows; dataset_card.py writes the folder.
    "rows": Format(_("the frozen rows"), None, EVERYTHING, COLUMNAR, ties=True),
    "folder": Format(_("a folder that load_dataset opens"), None, EVERYTHING, ("zip",), ties=True),
}


def contents(
    folder: Path, format: str, split: str, view: View, dataset: str, watch: Watch = unwatched
) -> Iterator[Any]:
    """Yield the examples of a file, each a dict. Frozen rows are copied byte for byte, each an
    orjson.Fragment: their hash is the dataset's id.
    """
    if format == "rows":
        for line, _row in read(folder, split, watch):
            yield orjson.Fragment(line.rstrip(b"\n"))
        return
    make, once, written = FORMATS[format].examples, FORMATS[format].once, set[bytes]()
    assert make is not None  # what has no examples is not made here
    for _line, row in read(folder, split, watch):
        if once:
            prompt = bytes.fromhex(row["prompt_id"])
            if prompt in written:
                continue
            written.add(prompt)
        if view.weights:
            row = rows.weighted(row, view.weights)
        yield from make(row, view, dataset)
