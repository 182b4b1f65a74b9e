"""Each preset reads a file in the layout of its set, in contents of our own.

`presets/NAME.json` holds the rows of a file and what they become: one entry for each row or group
of rows, and the reasons of bad rows. A judgment is written "judge (kind): ranks", a turn
"role: text".
"""

from __future__ import annotations

import copy
import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from labeling import imports
from labeling.imports.files import Row
from labeling.imports.mapping import PRESETS, Mapping, Reader, fields, unread
from labeling.models import Candidate, Prompt, Ranking
from labeling.text.conversations import Entry
from modelops import rows
from tests.factories import make_project

FOLDER = Path(__file__).parent / "presets"
FIXTURES = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(FOLDER.glob("*.json"))
}
NAMES = sorted(FIXTURES)
VERBATIM = dict.fromkeys(("repair", "controls", "spaces", "personal", "prefixes", "near"), False)


def read(mapping: Mapping, values: list) -> tuple[list[dict], dict[str, str]]:
    """What the rows become, and the reason of each bad one."""
    entries, bad = [], {}
    read_rows = Reader(mapping).read(Row(place, value) for place, value in enumerate(values, 1))
    for row, made, reason in read_rows:
        entries += map(written, made)
        if reason:
            bad[str(row.place)] = reason
    return entries, bad


def written(entry: Entry) -> dict:
    """An entry as the fixtures write it: what is empty is absent."""
    models = [answer["model"] for answer in entry.answers]
    said = {
        "prompt": list(map(written_turn, entry.messages)),
        "answers": [written_answer(answer) for answer in entry.answers],
        "models": [] if set(models) <= {"unknown"} else models,
        "judgments": list(map(written_judgment, entry.judgments)),
        "metadata": entry.metadata,
    }
    for name in ("demonstration", "split", "language", "source", "use_case", "author", "licence"):
        said[name] = getattr(entry, name)
    return {name: value for name, value in said.items() if value}


def written_turn(turn: dict) -> str:
    content = turn["content"]
    text = content if isinstance(content, str) else "|".join(part["text"] for part in content)
    calls = [call["function"] for call in turn.get("tool_calls", [])]
    text += "".join(f"{call['name']}({call['arguments']})" for call in calls)
    return f"{turn['role']}: {text}"


def written_answer(answer: dict) -> str | list[str]:
    turns = answer.get("messages", [])
    return list(map(written_turn, turns)) if len(turns) > 1 else answer["text"]


def written_judgment(judgment: dict) -> str:
    ranks = judgment["ranks"]
    verdict = "all bad" if ranks is None else " ".join(map(str, rows.dense(ranks)))
    strength = f", strength {judgment['strength']}" if "strength" in judgment else ""
    some = f", of {' '.join(map(str, judgment['answers']))}" if "answers" in judgment else ""
    kind = judgment.get("judge_kind", "unknown")
    return f"{judgment['judge']} ({kind}): {verdict}{strength}{some}"


def in_order(entries: list[dict], fixture: dict) -> list[dict]:
    """The entries as they are compared: those of a tree come in no promised order."""
    return sorted(entries, key=json.dumps) if fixture.get("unordered") else entries


def saved(path: Path, values: list) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def test_each_preset_has_a_fixture_and_each_fixture_a_preset():
    assert sorted(PRESETS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_reads_its_fixture(name):
    fixture = FIXTURES[name]

    entries, bad = read(PRESETS[name].mapping, fixture["rows"])

    assert in_order(entries, fixture) == in_order(fixture["entries"], fixture)
    expected = fixture.get("bad", {})
    assert bad.keys() == expected.keys()
    for place, part in expected.items():
        assert part in bad[place]


@pytest.mark.parametrize("name", NAMES)
def test_its_file_is_recognised(tmp_path, name):
    assert imports.recognise(saved(tmp_path / "file.jsonl", FIXTURES[name]["rows"])) == name


USER, ANSWER = {"role": "user", "content": "?"}, {"role": "assistant", "content": "Yes."}
OTHER = {"role": "assistant", "content": "No."}
PAIR = {"output_1": "Yes.", "output_2": "No.", "preference": 1}
WHOLE = {"prompt": "?", "chosen": [USER, ANSWER], "rejected": [USER, OTHER]}
MODELS = {"chosen_model": "m", "rejected_model": "n"}
RATED = {"chosen_rating": 5.0, "rejected_rating": 3.0}
SCORES = {"score_chosen": 2.0, "score_rejected": 1.0}
ASKED = "\n\nHuman: ?\n\nAssistant:"


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"instruction": "?", "output": "Yes."}, "alpaca"),
        ({"instruction": "?", "output": "Yes.", "generator": "m"}, "alpaca-eval-outputs"),
        ({"instruction": "?", **PAIR}, "alpaca-farm"),
        ({"instruction": "?", **PAIR, "raw_preference": 2}, "alpaca-farm-human"),
        ({"instruction": "?", **PAIR, "annotator": "gpt4"}, "alpaca-eval"),
        ({"instruction": "?", "response": "Yes."}, "self-instruct-predictions"),
        ({"messages": [USER]}, "prompts"),
        ({"messages": [USER, ANSWER]}, "chat"),
        ({"conversations": [USER, ANSWER]}, "sharegpt"),
        ({"conversations": ["?", "Yes."]}, "lima"),
        (WHOLE, "dpo-conversations"),
        (WHOLE | SCORES, "dpo-conversations"),
        (WHOLE | SCORES | {"prompt_id": "f0"}, "ultrafeedback-binarized"),
        (WHOLE | SCORES | {"prompt_id": "f0", "source": "s"}, "ultrafeedback-binarized"),
        (WHOLE | {"source": "s", "id": "1"}, "dpo-conversations"),
        (WHOLE | MODELS, "dpo-conversations"),
        (WHOLE | MODELS | RATED | {"source": "s", "id": "1"}, "tulu3-preference"),
        (
            {"chosen": WHOLE["chosen"], "rejected": WHOLE["rejected"]} | MODELS | RATED,
            "trl-implicit",
        ),
        ({"prompt": [USER], "chosen": [ANSWER], "rejected": [OTHER]}, "trl"),
        ({"prompt": "?", "chosen": "Yes.", "rejected": "No."}, "trl"),
        ({"prompt": ASKED, "chosen": "Yes.", "rejected": "No."}, "transcript-preference"),
        ({"prompt": ASKED, "chosen": "Y", "rejected": "N", "response": "Y"}, "rm-static"),
        ({"chosen": f"{ASKED} Yes.", "rejected": f"{ASKED} No."}, "hh-rlhf"),
        ({"chosen": f"{ASKED} Yes."}, "hh-chosen-only"),
    ],
)
def test_of_layouts_that_are_alike_the_right_one_is_recognised(tmp_path, row, name):
    assert imports.recognise(saved(tmp_path / "file.jsonl", [row])) == name


@pytest.mark.parametrize("name", NAMES)
def test_no_field_of_its_file_stays_behind_unnamed(name):
    values = FIXTURES[name]["rows"]
    mapping = PRESETS[name].mapping

    assert unread(mapping, fields(values)) == []
    strange = [value | {"a strange field": "text"} for value in values]
    assert [field.path for field in unread(mapping, fields(strange))] == ["a strange field"]


# Codes


def swapped(table: dict) -> Iterator[tuple[str, dict]]:
    """Yield (what is swapped, the mapping with it swapped) for each thing that turns a verdict."""
    judgments = table.get("judgment", [])
    for place, judgment in enumerate(judgments if isinstance(judgments, list) else [judgments]):
        for what, other in swapped_judgment(judgment):
            changed = copy.deepcopy(table)
            if isinstance(judgments, list):
                changed["judgment"][place] = other
            else:
                changed["judgment"] = other
            yield f"judgment {place}: {what}", changed
    if "chosen" in table:
        turned = {"chosen": table["rejected"], "rejected": table["chosen"]}
        yield "chosen and rejected", table | turned
    if isinstance(table.get("answers"), list):
        yield "answers", table | {"answers": table["answers"][::-1]}


def swapped_judgment(judgment: dict) -> Iterator[tuple[str, dict]]:
    winner = {name: codes for name, codes in judgment.get("winner", {}).items() if name != "field"}
    for (first, second), (one, other) in pairs_of_codes(winner):
        codes = {
            first: [other if code == one else code for code in winner[first]],
            second: [one if code == other else code for code in winner[second]],
        }
        yield f"{one} and {other}", judgment | {"winner": judgment["winner"] | codes}
    for first, second in pairs(judgment.get("one_hot", {})):
        columns = judgment["one_hot"]
        changed = columns | {first: columns[second], second: columns[first]}
        yield f"{first} and {second}", judgment | {"one_hot": changed}
    if scale := judgment.get("scale"):
        changed = scale | {"a": scale["b"], "b": scale["a"]}
        yield "the ends of the scale", judgment | {"scale": changed}
    if "better" in judgment:
        other = {"higher": "lower", "lower": "higher"}[judgment["better"]]
        yield "higher and lower", judgment | {"better": other}
    if isinstance(label := judgment.get("label"), str):
        codes = {"good": ["false", 0], "bad": ["true", 1]}
        yield "good and bad", judgment | {"label": {"field": label} | codes}
    kind = judgment["kind"]
    if isinstance(kind, dict):
        changed = kind | {"person": kind["model"], "model": kind["person"]}
        yield "people and models", judgment | {"kind": changed}


def pairs(names: dict) -> list[tuple[str, str]]:
    return [(first, second) for first in names for second in names if first < second]


def pairs_of_codes(table: dict) -> Iterator[tuple[tuple[str, str], tuple]]:
    for first, second in pairs(table):
        for one in table[first]:
            for other in table[second]:
                yield (first, second), (one, other)


SWAPPED = [
    pytest.param(name, what, id=f"{name}-{what}")
    for name in NAMES
    if name in PRESETS
    for what, _table in swapped(PRESETS[name].mapping.as_dict())
]


@pytest.mark.parametrize(("name", "what"), SWAPPED)
def test_with_a_swapped_code_another_result_comes_in(name, what):
    fixture = FIXTURES[name]
    table = dict(swapped(PRESETS[name].mapping.as_dict()))[what]

    entries, _bad = read(Mapping.parse(table), fixture["rows"])

    assert in_order(entries, fixture) != in_order(fixture["entries"], fixture)


def test_the_codes_that_sets_count_differently_are_all_swapped():
    """Those whose meaning nobody can guess from the number."""
    codes = {param.values for param in SWAPPED}

    assert {
        ("shp", "judgment 0: 1 and 0"),
        ("pku-saferlhf", "judgment 0: 0 and 1"),
        ("pandalm", "judgment 2: 2 and 0"),
        ("auto-j", "judgment 0: 1 and 2"),
        ("alpaca-farm", "judgment 0: 1 and 2"),
        ("alpaca-eval", "judgment 0: the ends of the scale"),
        ("helpsteer2-preference", "judgment 0: the ends of the scale"),
        ("arena-55k", "judgment 0: a and tie"),
        ("chatbot-arena", "judgment 0: tie (bothbad) and tie"),
        ("arena-140k", "judgment 0: both_bad and tie"),
    } <= codes


# The same rows in other kinds of files


def as_parquet(path: Path, values: list) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    names = columns_of(values)
    filled = [{name: value.get(name) for name in names} for value in values]
    parquet.write_table(pa.Table.from_pylist(filled), path)
    return path


def columns_of(values: list) -> list[str]:
    return list(dict.fromkeys(name for value in values for name in value))


def as_csv(path: Path, values: list) -> Path:
    names = columns_of(values)
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(names)
        for value in values:
            table.writerow([as_cell(value.get(name)) for name in names])
    return path


def as_cell(value: object) -> object:
    if isinstance(value, bool | list | dict):
        return json.dumps(value)
    return value


def without_metadata(entries: list[dict]) -> list[dict]:
    """A table's cells are texts, and its numbers and lists come in so as metadata."""
    return [
        {name: value for name, value in entry.items() if name != "metadata"} for entry in entries
    ]


TABLES = [
    pytest.param(name, write, id=f"{name}-{write.__name__}")
    for name in NAMES
    for write in (as_parquet, as_csv)
    if write.__name__ not in FIXTURES[name].get("not", {})  # it says why
]


@pytest.mark.parametrize(("name", "write"), TABLES)
def test_the_good_rows_are_the_same_in_a_table(tmp_path, name, write):
    fixture = FIXTURES[name]
    bad = {int(place) for place in fixture.get("bad", {})}
    values = [value for place, value in enumerate(fixture["rows"], 1) if place not in bad]
    path = write(tmp_path / f"file.{write.__name__}", values)

    entries, reasons = [], []
    for row, made, reason in Reader(PRESETS[name].mapping).read(imports.files.rows(path)):
        entries += map(written, made)
        reasons += [(row.place, reason)] if reason else []

    assert reasons == []
    assert without_metadata(in_order(entries, fixture)) == without_metadata(
        in_order(fixture["entries"], fixture)
    )


# Into the database


@pytest.mark.django_db
@pytest.mark.parametrize("name", [name for name in NAMES if FIXTURES[name]["entries"]])
def test_it_comes_in(tmp_path, name):
    fixture = FIXTURES[name]
    path = saved(tmp_path / "file.jsonl", fixture["rows"])

    tally = imports.import_file(
        None, make_project(), path, name, skip_bad=tmp_path / "bad.jsonl", **VERBATIM
    )

    entries = fixture["entries"]
    assert tally.bad == len(fixture.get("bad", {}))
    assert Prompt.objects.count() == len({json.dumps(entry["prompt"]) for entry in entries})
    assert Candidate.objects.count() == sum(len(entry.get("answers", [])) for entry in entries)
    assert Ranking.objects.count() == sum(len(entry.get("judgments", [])) for entry in entries)
