"""Rows as Parquet: the schemas of frozen rows, and files that are written a group of rows at a
time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from modelops.rows import CUT

GROUP = 2000  # rows in memory at once; the footer, kept to the end, grows with each group
# Keys that only some rows have, as a canonical line holds them: texts have their quotes escaped.
RARE = {"truncated": '"truncated":true', "finish_reason": f'"finish_reason":"{CUT}"'}


def schema_of_rows(kind: str, rare: Collection[str] = ()) -> Any:
    """The Arrow schema of a dataset's frozen rows; `rare` names keys of RARE that some have.

    pyarrow takes a while to import, and only files need it.
    """
    import pyarrow as pa

    text, number, real = pa.string(), pa.int64(), pa.float64()
    prompt = [
        ("prompt_id", text),
        ("messages", turns()),
        ("split", text),
        ("use_case", text),
        ("language", text),
    ]
    answer = [
        ("id", number),
        ("text", text),
        ("model", text),
        ("finish_reason", text),
        ("tokens", number),
    ]
    answer += [("truncated", pa.bool_())] if "truncated" in rare else []
    cut = [("finish_reason", text)] if "finish_reason" in rare else []
    judgment = [("labeler", number), ("kind", text), ("outcome", text)]
    judgment += [
        ("ranks", pa.list_(number)),
        ("ratings", pa.list_(number)),
        ("flags", pa.list_(pa.list_(text))),
    ]
    judgment += [("strength", number), ("seconds", real), ("weight", real)]
    fields = {
        "judgments": [
            *prompt,
            ("answers", pa.list_(pa.struct(answer))),
            ("judgments", pa.list_(pa.struct(judgment))),
        ],
        "demonstrations": [*prompt, ("text", text), *cut],
        "prompts": prompt,
        "text": [("prompt_id", text), ("split", text), ("text", text), *cut],
    }
    return pa.schema(fields[kind])


def turns() -> Any:
    import pyarrow as pa

    return pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def groups(items: Iterable[dict], size: int = GROUP) -> Iterable[list[dict]]:
    items = iter(items)
    while group := list(islice(items, size)):
        yield group


def write(items: Iterable[dict], schema: Any, out: Any) -> None:
    """All of `items` as one file; a key that a row lacks is null."""
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetWriter(out, schema) as writer:
        for group in groups(items):
            writer.write_table(pa.Table.from_pylist(group, schema))


def by_split(rows: Iterable[dict], kind: str, folder: Path, rare: Collection[str] = ()) -> None:
    """One Parquet file a split; `rare` as in schema_of_rows()."""
    import pyarrow as pa
    from pyarrow import parquet

    schema, writers = schema_of_rows(kind, rare), {}
    with ExitStack() as stack:
        for group in groups(rows):
            for split in sorted({row["split"] for row in group}):
                if split not in writers:
                    writers[split] = stack.enter_context(
                        parquet.ParquetWriter(folder / f"{split}.parquet", schema)
                    )
                part = [row for row in group if row["split"] == split]
                writers[split].write_table(pa.Table.from_pylist(part, schema))
