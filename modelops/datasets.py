"""Frozen rows on disk: write, register, reopen."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings

from modelops import rows
from modelops.models import Dataset


class Withheld(Exception):
    """The dataset's files are gone or were changed; its rows can't be read."""


def path(dataset: Dataset) -> Path:
    return settings.VAR / dataset.folder


def write(lines: Iterable[str]) -> tuple[str, Path]:
    """Write canonical lines below the data folder; returns their sha256 and the folder, named by it.

    The folder appears whole or not at all; writing the same rows again finds it there.
    """
    base = settings.VAR / "datasets"
    base.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=base, prefix=".new-"))
    sha = hashlib.sha256()
    with open(scratch / "rows.jsonl", "w", encoding="utf-8", newline="\n") as out:
        for line in lines:
            out.write(line + "\n")
            sha.update(line.encode() + b"\n")
        out.flush()
        os.fsync(out.fileno())
    _write_parquet(scratch)
    folder = base / sha.hexdigest()
    try:
        os.rename(scratch, folder)
    except OSError:  # the same rows were frozen before, or just now
        _remove(scratch)
        if not folder.exists():
            raise
    return sha.hexdigest(), folder


def _remove(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def _write_parquet(folder: Path) -> None:
    """One Parquet file a split, beside the lines that the id is made of."""
    import pyarrow as pa  # slow to import, and only needed here
    from pyarrow import parquet

    by_split: dict[str, list[dict]] = {}
    for row in rows.read(folder):
        by_split.setdefault(row["split"], []).append(row)
    for split, group in by_split.items():
        parquet.write_table(pa.Table.from_pylist(group), folder / f"{split}.parquet")


def counts(folder: Path) -> dict:
    """Rows by split, judgments and comparisons of a judgments dataset."""
    splits, judgments, comparisons = Counter(), 0, 0
    for row in rows.read(folder):
        splits[row["split"]] += 1
        judgments += len(row.get("judgments", ()))
        comparisons += len(rows.row_pairs(row)) if "judgments" in row else 0
    return {"rows": sum(splits.values()), "splits": dict(splits), "judgments": judgments, "pairs": comparisons}


def register(project, kind: str, digest: str, folder: Path, **fields) -> tuple[Dataset, bool]:
    """The dataset of these rows in this project, and whether it is new."""
    place = str(folder.relative_to(settings.VAR))
    fields |= {"folder": place, "counts": counts(folder), "kind": kind}
    return Dataset.objects.get_or_create(project=project, digest=digest, defaults=fields)


def verify(dataset: Dataset) -> None:
    """Raises Withheld unless the rows on disk are the ones that gave the dataset its id."""
    file = path(dataset) / "rows.jsonl"
    if not file.exists():
        raise Withheld(f"Dataset {dataset.short} has no file any more: restore it from a backup.")
    with open(file, "rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != dataset.digest:
            raise Withheld(f"Dataset {dataset.short} was changed on disk: restore it from a backup.")
