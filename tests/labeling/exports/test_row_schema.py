"""Every row that is exported fits docs/row.schema.json, and the documentation names its keys."""

import gzip
import io
import json
import re
import tarfile
from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from labeling.exports import downloads, freeze
from labeling.judging import criteria
from labeling.judging.judgment import Verdict
from labeling.models import Demonstration, Ranking
from modelops.models import Dataset
from tests.factories import (
    ANSWER_TEXT,
    ANSWER_TURNS,
    TOOL_TURNS,
    make_imported_ranking,
    make_judge,
    make_person,
    make_prompt,
    make_ranking,
    make_task,
    rate,
)
from tests.row_schema import KINDS, ROW, SCHEMA, faults
from tests.upgrade.conftest import STORED

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def everything(project, alice, bob):
    """A project whose frozen rows have every key."""
    task = make_task(project, ["one", "two"])
    task.candidates.update(finish_reason="length", tokens=7, truncated=True, reward=1.5)
    task.candidates.filter(text="two").update(text=ANSWER_TEXT, messages=ANSWER_TURNS)
    ranking = make_ranking(task, alice, ranks=[1, 2])
    Ranking.objects.filter(pk=ranking.pk).update(strength=-2, seconds=4.25, prompted=True)
    say_all(ranking)
    script = make_ranking(task, make_person(project, simulated=True), ranks=[1, 1])
    Ranking.objects.filter(pk=script.pk).update(kind="simulated")
    for outcome in ("all_bad", "cannot_judge"):
        nothing = make_ranking(task, make_person(project), ranks=[None, None])
        Ranking.objects.filter(pk=nothing.pk).update(outcome=outcome)
    make_imported_ranking(task, make_judge("model"), ranks=[2, 1])
    settled = make_ranking(task, bob, ranks=[2, 1])
    Ranking.objects.filter(pk=settled.pk).update(kind="adjudicated")
    turns = [
        {"role": "system", "content": "Be brief."},
        *TOOL_TURNS,
        {"role": "user", "content": "Write a haiku about the sea."},
    ]
    prompt = make_prompt(project, messages=turns, split="test", use_case="chat", language="en")
    Demonstration.objects.create(prompt=prompt, text="Waves.")
    return project


def say_all(ranking):
    """Ratings, flags, scores of both scopes, and spans."""
    candidates = ranking.task.candidates.all()
    rate(ranking, {one.pk: Verdict(rating=6, flags=["opinion"]) for one in candidates})
    for scope, value in (("answer", True), ("ranking", False)):
        criterion = criteria.create(
            None, ranking.task.project, key=f"of-{scope}", scope=scope, kind="yes-no", question="?"
        )
        candidate = candidates[0] if scope == "answer" else None
        ranking.scores.create(criterion=criterion, candidate=candidate, value=value)
    ranking.spans.create(candidate=candidates[0], label="wrong", start=0, end=3)


FREEZES = {
    "judgments": {},
    "adjudications": {"adjudicated": True},
    "demonstrations": {"kind": "demonstrations"},
    "chosen answers": {"kind": "demonstrations", "answers": "chosen"},
    "prompts": {"kind": "prompts"},
    "text": {"kind": "text"},
    "text of chosen answers": {"kind": "text", "answers": "chosen"},
}
UNPACKED = {
    "jsonl": lambda content: content,
    "jsonl.gz": gzip.decompress,
    "jsonl.zst": lambda content: pa.CompressedInputStream(io.BytesIO(content), "zstd").read(),
}


def exported(dataset: Dataset, file: str) -> list[dict]:
    path = downloads.make(dataset, downloads.choose(dataset, "rows", file))
    return [orjson.loads(line) for line in UNPACKED[file](path.read_bytes()).splitlines()]


@pytest.mark.django_db
@pytest.mark.parametrize("file", UNPACKED)
@pytest.mark.parametrize("frozen", FREEZES)
def test_every_exported_row_fits_the_schema_of_its_kind(everything, frozen, file):
    dataset = freeze.freeze_now(None, everything, apart=False, **FREEZES[frozen])
    rows = exported(dataset, file)

    assert rows
    assert [fault for row in rows for fault in faults(row, dataset.kind)] == []
    assert all(ROW.is_valid(row) for row in rows), "of exactly one kind"


@pytest.mark.django_db
def test_the_rows_above_have_every_key_of_the_schema(everything):
    frozen = [
        freeze.freeze_now(None, everything, apart=False, **chosen) for chosen in FREEZES.values()
    ]
    rows = [row for dataset in frozen for row in exported(dataset, "jsonl")]
    judgments = [judgment for row in rows for judgment in row.get("judgments", ())]
    answers = [answer for row in rows for answer in row.get("answers", ())]

    turns = [turn for row in rows for turn in row.get("messages", ())]
    assert set().union(*turns) == set(SCHEMA["$defs"]["messages"]["items"]["properties"])
    for name, values in {"judgment": judgments, "answer": answers}.items():
        assert set().union(*values) == set(SCHEMA["$defs"][name]["properties"])
    assert set().union(*rows) == {
        key for kind in KINDS for key in SCHEMA["$defs"][kind]["properties"]
    }


def test_the_rows_of_datasets_made_before_fit_too():
    """Of the archive of an earlier version: its ids, and so its rows, stay what they are."""
    with tarfile.open(STORED / "podium.tar.xz") as archive:
        files = [
            archive.extractfile(member).read()
            for member in archive.getmembers()
            if member.name.startswith("var/datasets/") and member.name.endswith("/rows.jsonl")
        ]
    rows = [json.loads(line) for file in files for line in file.splitlines()]

    assert len(files) > 5
    assert [row for row in rows if not ROW.is_valid(row)] == []


PROMPT = {
    "prompt_id": "0" * 64,
    "messages": [{"role": "user", "content": "Why?"}],
    "split": "train",
    "use_case": "",
    "language": "",
}
ANSWER = {"id": 0, "text": "Yes.", "model": "m", "finish_reason": "", "tokens": None}
JUDGMENT = {"labeler": 0, "kind": "imported", "outcome": "ranked", "ranks": [1]}
JUDGMENT |= {"ratings": [None], "flags": [[]], "strength": None, "seconds": 0.0, "weight": 1.0}


def judged(answer=(), **judgment) -> dict:
    return PROMPT | {"answers": [ANSWER | dict(answer)], "judgments": [JUDGMENT | judgment]}


def said(**turn) -> dict:
    return judged() | {"messages": [PROMPT["messages"][0] | turn]}


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (judged() | {"key": 1}, "$: Additional"),
        (judged(key=1), "$.judgments[0]: Additional"),
        (judged({"key": 1}), "$.answers[0]: Additional"),
        (judged(ranks=[]), "$.judgments[0].ranks"),
        (judged(outcome="all_bad"), "$.judgments[0].ranks"),
        (judged(ratings=[8]), "$.judgments[0].ratings[0]"),
        (judged(strength=4), "$.judgments[0].strength"),
        (judged(weight=0.5), "$.judgments[0].weight"),
        (judged(scores={}), "$.judgments[0].scores"),
        (judged(scores={"helpfulness": 0.5}), "$.judgments[0].scores"),
        (judged(spans=[]), "$.judgments[0].spans"),
        (judged(spans=[{"answer": 0, "label": "wrong"}]), "$.judgments[0].spans[0]"),
        (judged({"truncated": False}), "$.answers[0].truncated"),
        (judged() | {"split": "dev"}, "$.split"),
        (said(role="function"), "$.messages[0].role"),
        (said(content=[]), "$.messages[0].content"),
        (said(content=[{"type": "image", "text": ""}]), "$.messages[0].content"),
        (said(tool_calls=TOOL_TURNS[2]["tool_calls"]), "$.messages[0].role"),
        (said(name="weather"), "$.messages[0].role"),
        (judged() | {"judgments": []}, "$.judgments"),
    ],
)
def test_what_no_export_says_does_not_fit(row, fault):
    assert faults(judged(), "judgments") == []
    assert any(fault in found for found in faults(row, "judgments"))


# The documentation


def documented() -> dict[str, tuple[str, str]]:
    """{key: (datasets that have it, type)} of the table of keys."""
    page = (ROOT / "docs/researcher.md").read_text(encoding="utf-8")
    table = page.partition("| key | type | in | meaning |\n")[2].partition("\n\n")[0]
    lines = re.findall(r"^\| `(\S+)` \| ([^|]+) \| ([^|]+) \| [^|]{3,} \|$", table, re.M)
    assert len(lines) == len(table.splitlines()) - 1, "a line of the table can't be read"
    return {key: (kinds, type) for key, type, kinds in lines}


def in_schema() -> dict[str, set[str]]:
    """{key: kinds of dataset that have it}, with the keys of lists' items after the list's."""
    keys: dict[str, set[str]] = {}
    for kind in KINDS:
        for path in paths(SCHEMA["$defs"][kind]):
            keys.setdefault(path, set()).add(kind)
    return keys


def paths(node: dict, before: str = ""):
    node = SCHEMA["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    for key, inner in node.get("properties", {}).items():
        yield before + key
        yield from paths(inner, f"{before}{key}.")
    if "items" in node:
        yield from paths(node["items"], f"{before[:-1]}[].")


def test_the_table_of_keys_names_those_of_the_schema_and_no_others():
    table = {
        key: set(KINDS) if kinds == "all" else set(kinds.split(", "))
        for key, (kinds, _type) in documented().items()
    }

    assert table == in_schema()
