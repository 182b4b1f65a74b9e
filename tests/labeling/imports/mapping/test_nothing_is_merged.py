"""What is different in a file stays different, and what stands in a text is not lost."""

import pytest

from labeling.imports import mapping_text
from labeling.imports.files import Row
from labeling.imports.mapping import BadMapping, Mapping, Reader, fields, propose, unread
from labeling.imports.mapping.codes import key, language, time
from labeling.imports.mapping.values import short
from labeling.imports.sources import verdicts
from labeling.text.conversations import BadPrompt

PERSON = {"kind": "person"}
GROUPED = {
    "prompt": "p",
    "answers": {"text": "a", "score": "s"},
    "group": "id",
    "judgment": PERSON | {"judge": "who", "name": "somebody"},
}


def read(table, rows):
    """(entries, reasons) of rows that a mapping reads."""
    entries, reasons = [], []
    for _row, made, reason in Reader(Mapping.parse(table)).read(
        Row(place, row) for place, row in enumerate(rows, start=1)
    ):
        entries += made
        reasons += [reason] if reason else []
    return entries, reasons


def row(id, answer, score, **more):
    return {"p": "Question?", "id": id, "a": answer, "s": score} | more


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (1234567890123456781, 1234567890123456784),
        ("1234567890123456781", "1234567890123456784"),
        ("aB", "Ab"),
        ("1234e567", "1234e568"),
    ],
)
def test_ids_that_differ_are_two_groups(first, second):
    rows = [row(id, f"{id} {n}", n) for id in (first, second) for n in (1, 2)]
    entries, reasons = read(GROUPED, rows)

    assert reasons == []
    assert [len(entry.answers) for entry in entries] == [2, 2]


def test_a_whole_number_is_the_same_key_however_a_table_writes_it():
    assert key(7) == key(7.0) == key("7")
    assert [key(value) for value in (None, True, [], "", float("nan"))] == [""] * 5


def test_names_that_are_long_numbers_stay_apart():
    assert short(12345678901234567890, "a judge") == "12345678901234567890"
    with pytest.raises(BadPrompt, match="too long"):
        short(10**400, "a judge")


def test_a_judge_of_two_kinds_is_two_judgments():
    table = GROUPED | {"judgment": {"judge": "who", "kind": {"field": "kind"}}}
    rows = [
        row(1, answer, score, who="x", kind=kind)
        for kind, scores in (("person", (1, 2)), ("model", (2, 1)))
        for answer, score in zip("ab", scores, strict=True)
    ]
    (entry,), _reasons = read(table, rows)

    judged = [(judgment["judge_kind"], judgment["ranks"]) for judgment in entry.judgments]
    assert judged == [("person", [2, 1]), ("model", [1, 2])]


def test_what_json_in_a_text_holds_besides_is_not_read():
    table = {"prompt": "p", "answers": ["x", "y"]}
    table["judgment"] = PERSON | {"winner": {"field": "meta.w", "a": ["a"], "b": ["b"]}}
    mapping = Mapping.parse(table)
    rows = [{"p": "Q?", "x": "1", "y": "2", "meta": '{"w": "a", "comment": "Important"}'}]

    listed = fields(rows, mapping.opened)
    assert [field.path for field in unread(mapping, listed)] == ["meta.comment"]
    assert {field.path for field in fields(rows)} == {"p", "x", "y", "meta"}


def test_the_kind_of_a_judge_is_read_of_each_judgment():
    table = {"prompt": "p", "answers": ["x", "y"]}
    table["judgment"] = {
        "each": "js",
        "kind": {"field": "type"},
        "winner": {"field": "w", "a": ["a"], "b": ["b"]},
    }
    mapping = Mapping.parse(table)

    assert mapping.reads("js[*].type")
    assert not mapping.reads("type")


def test_a_strength_without_a_sign_says_not_who_won():
    rows = [
        {"prompt": "Q?", "response_a": "x", "response_b": "y", "winner": winner, "strength": n}
        for n, winner in enumerate(("a", "b", "a"), start=1)
    ]
    judgment = propose(fields(rows), rows).mapping["judgment"]
    assert judgment["winner"]["field"] == "winner"

    alone = [{name: value for name, value in row.items() if name != "winner"} for row in rows]
    assert "judgment" not in propose(fields(alone), alone).mapping


def test_an_outcome_and_a_verdict_are_a_bad_row():
    table = {"prompt": "p", "answers": [{"text": "x", "score": "sx"}, {"text": "y", "score": "sy"}]}
    table["judgment"] = PERSON | {"outcome": "o"}
    given = {"p": "Q?", "x": "1", "y": "2", "sx": 1, "sy": 2}
    _entries, reasons = read(table, [given | {"o": "cannot_judge"}, given | {"o": "ranked"}])

    assert reasons == ["the outcome is cannot_judge, and there is a verdict too"]


def test_all_other_codes_are_shown_for_confirmation():
    winner = {"field": "w", "a": ["x"], "b": ["*"]}
    table = {"prompt": "p", "answers": ["x", "y"], "judgment": PERSON | {"winner": winner}}
    (shown,) = verdicts(Mapping.parse(table))
    assert shown.meanings == (("x", "a"), ("*", "b"))


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("2021", "2021"),
        (20230115, "20230115"),
        (1700000000, "2023-11-14T22:13:20+00:00"),
        (1700000000000, "2023-11-14T22:13:20+00:00"),
    ],
)
def test_years_and_days_in_digits_are_no_seconds(given, written):
    assert time(given) == written


def test_a_language_has_one_code():
    assert [language(name) for name in ("EN", "English", "pt-BR")] == ["en", "en", "pt-BR"]


@pytest.mark.parametrize(
    "text",
    [
        'prompt = "a..b"',
        'keep = ["a"]\nleave_out = 5',
        "keep = [1]",
        "time = 1979-05-27",
        'prompt = "p"\njudgment = {winner = {field = "w", a = "A"}}',
    ],
)
def test_a_slip_in_a_mapping_as_text_is_said(text):
    with pytest.raises(BadMapping):
        mapping_text.read(text)


def test_a_number_of_400_digits_is_no_end_of_a_scale():
    scale = {"field": "s", "a": -1, "b": 1, "tie": 10**400}
    table = {"prompt": "p", "answers": ["x", "y"], "judgment": PERSON | {"scale": scale}}
    with pytest.raises(BadMapping, match="must be a number"):
        Mapping.parse(table)
