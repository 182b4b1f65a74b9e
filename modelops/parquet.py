"""Rows as Parquet: the schemas of frozen rows, and files that are written a group of rows at a
time.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from modelops.rows import CUT, canonical

GROUP = 2000  # rows in memory at once; the footer, kept to the end, grows with each group
# What only some rows have, by any of these marks in a canonical line: texts have their quotes
# escaped. "turns" are turns that hold more than a role and a text, "answer_turns" those of answers
# that are more than a text.
RARE = {
    "truncated": ['"truncated":true'],
    "finish_reason": [f'"finish_reason":"{CUT}"'],
    "scores": ['"scores":{'],
    "spans": ['"spans":[{'],
    "judge_kind": ['"judge_kind":"'],
    "turns": ['"content":[', '"tool_calls":[', '"role":"tool"'],
    "prompted": ['"prompted":true'],
    "answer_turns": [],
}


def rare_in(line: str) -> set[str]:
    """Which names of RARE a canonical line has."""
    names = {name for name, marks in RARE.items() if any(mark in line for mark in marks)}
    # one of them is the prompt's
    return names | ({"answer_turns"} if line.count('"messages":[') > 1 else set())


def schema_of_rows(kind: str, rare: Collection[str] = ()) -> Any:
    """The Arrow schema of a dataset's frozen rows; `rare` has the names of RARE that they need.

    pyarrow takes a while to import, and only files need it.
    """
    import pyarrow as pa

    text, number, real = pa.string(), pa.int64(), pa.float64()
    prompt = [
        ("prompt_id", text),
        ("messages", json_turns() if "turns" in rare else turns()),
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
    answer += [("messages", json_turns())] if "answer_turns" in rare else []
    cut = [("finish_reason", text)] if "finish_reason" in rare else []
    judgment = [("labeler", number), ("kind", text), ("outcome", text)]
    judgment += [
        ("ranks", pa.list_(number)),
        ("ratings", pa.list_(number)),
        ("flags", pa.list_(pa.list_(text))),
    ]
    judgment += [("strength", number), ("seconds", real), ("weight", real)]
    judgment += [("scores", pa.json_(text))] if "scores" in rare else []
    span = [("answer", number), ("label", text), ("start", number), ("end", number)]
    judgment += [("spans", pa.list_(pa.struct(span)))] if "spans" in rare else []
    judgment += [("prompted", pa.bool_())] if "prompted" in rare else []
    judgment += [("judge_kind", text)] if "judge_kind" in rare else []
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


def json_turns() -> Any:
    """Turns that differ in what they hold, each as JSON, which `datasets` opens as it was."""
    import pyarrow as pa

    return pa.list_(pa.json_(pa.string()))


def as_json(turns: list[dict]) -> list[str]:
    """The turns as a column of json_turns() takes them."""
    return [json.dumps(turn, ensure_ascii=False) for turn in turns]


def table(items: list[dict], schema: Any) -> Any:
    """The items as a table of this schema. Arrow makes its JSON type of texts alone."""
    import pyarrow as pa

    plain = pa.schema([(column.name, _as_text(column.type)) for column in schema])
    made = pa.Table.from_pylist(items, plain)
    return made if plain == schema else made.cast(schema)


def _as_text(kind: Any) -> Any:
    """The type with texts in place of JSON."""
    import pyarrow as pa

    if isinstance(kind, pa.JsonType):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_as_text(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _as_text(field.type)) for field in kind])
    return kind


def opened(value: Any, kind: Any) -> Any:
    """A value of this type with its JSON as objects."""
    import pyarrow as pa

    if value is None:
        return None
    if isinstance(kind, pa.JsonType):
        return json.loads(value)
    if pa.types.is_list(kind):
        return [opened(inner, kind.value_type) for inner in value]
    if pa.types.is_struct(kind):
        return {field.name: opened(value[field.name], field.type) for field in kind}
    return value


def with_rare(row: dict, rare: Collection[str]) -> dict:
    """A frozen row as the columns of schema_of_rows(kind, rare) take it."""
    if "turns" in rare and "messages" in row:
        row = row | {"messages": as_json(row["messages"])}
    if "scores" in rare:
        row = row | {"judgments": [_with_scores_as_json(judgment) for judgment in row["judgments"]]}
    if "answer_turns" in rare and "answers" in row:
        row = row | {"answers": list(map(_with_json_messages, row["answers"]))}
    return row


def _with_scores_as_json(judgment: dict) -> dict:
    """A column has one type, and the values of criteria have many."""
    if "scores" not in judgment:
        return judgment
    return judgment | {"scores": canonical(judgment["scores"])}


def _with_json_messages(answer: dict) -> dict:
    return answer | {"messages": as_json(answer["messages"])} if "messages" in answer else answer


def groups(items: Iterable[dict], size: int = GROUP) -> Iterator[list[dict]]:
    items = iter(items)
    while group := list(islice(items, size)):
        yield group


def write(items: Iterable[dict], schema: Any, out: Any) -> None:
    """All of `items` as one file; a key that a row lacks is null."""
    from pyarrow import parquet

    with parquet.ParquetWriter(out, schema) as writer:
        for group in groups(items):
            writer.write_table(table(group, schema))


def by_split(rows: Iterable[dict], kind: str, folder: Path, rare: Collection[str] = ()) -> None:
    """One Parquet file a split; `rare` as in schema_of_rows()."""
    from pyarrow import parquet

    schema, writers = schema_of_rows(kind, rare), {}
    with ExitStack() as stack:
        for group in groups(rows):
            for split in sorted({row["split"] for row in group}):
                if split not in writers:
                    writers[split] = stack.enter_context(
                        parquet.ParquetWriter(folder / f"{split}.parquet", schema)
                    )
                part = [with_rare(row, rare) for row in group if row["split"] == split]
                writers[split].write_table(table(part, schema))
