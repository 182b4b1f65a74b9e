"""The table of fields, and which of them nothing reads."""

import math

from labeling.imports.mapping import FieldTable, Mapping, fields, unread
from labeling.imports.mapping.fields import MOST_PATHS


def by_path(rows):
    return {field.path: field for field in fields(rows)}


def test_a_field_has_its_types_its_share_and_three_examples():
    rows = [
        {"id": number, "text": f"text {number % 2}", "a": {"b.c": [number / 2]}, "maybe": None}
        for number in range(8)
    ]
    rows += [{"id": "nine", "text": "", "maybe": True}, {"id": math.nan}]

    table = by_path(rows)

    assert table["id"].types == ("number", "text")
    assert table["id"].examples == ("0", "1", "2")
    assert (table["text"].types, table["text"].share) == (("text",), 0.9)
    assert table["text"].examples == ("text 0", "text 1")
    assert table['a."b.c"'].types == ("list",)
    assert table['a."b.c"[*]'].types == ("number",)
    assert (table["maybe"].types, table["maybe"].examples) == (("boolean",), ("true",))
    assert table["maybe"].holds


def test_the_table_stays_small_whatever_the_rows_hold():
    table = FieldTable()
    for number in range(4_000):
        table.add({"prompt": "?", "ids": {f"id-{number}-{inner}": inner for inner in range(3)}})

    listed = table.fields()

    assert len(listed) == MOST_PATHS
    (ids,) = [field for field in listed if field.path == "ids"]
    assert ids.unlisted > 3_000
    assert [field.path for field in unread(Mapping.parse({"prompt": "prompt"}), listed)] == ["ids"]


def test_fields_that_nothing_reads_are_named_by_the_highest_of_them():
    mapping = Mapping.parse(
        {
            "prompt": "messages",
            "answers": {"each": "answers", "text": "text", "rank": "rank"},
            "judgment": {"kind": "person"},
            "keep": ["source"],
            "leave_out": ["answers[*].critique"],
        }
    )
    rows = [
        {
            "messages": [{"role": "user", "content": "?", "weight": 1}],
            "answers": [
                {"text": "a", "rank": 1, "critique": {"by": "x"}, "scores": [{"of": "y", "is": 3}]}
            ],
            "source": {"deep": {"down": "s"}},
            "anwsers": ["a"],
            "flagged": True,
            "empty": [],
            "none": None,
        }
    ]

    named = [field.path for field in unread(mapping, fields(rows))]

    assert named == ["messages[*].weight", "answers[*].scores", "anwsers", "flagged"]
    left = unread(mapping, fields(rows), leave_out=["anwsers"], keep=["answers[*].scores"])
    assert [field.path for field in left] == ["messages[*].weight", "flagged"]


def test_one_item_of_a_list_does_not_read_the_others():
    mapping = Mapping.parse({"prompt": "messages[-1].content"})
    rows = [{"messages": [{"content": "first"}, {"content": "last"}]}]

    assert [field.path for field in unread(mapping, fields(rows))] == ["messages[*]"]


def test_a_cell_of_json_is_read_by_a_path_into_it():
    mapping = Mapping.parse({"prompt": "data.prompt"})

    assert unread(mapping, fields([{"data": '{"prompt": "?"}'}])) == []
    assert [f.path for f in unread(mapping, fields([{"other": '{"prompt": "?"}'}]))] == ["other"]


def test_rows_of_one_shape_are_remembered_once():
    table = FieldTable()
    for number in range(10_000):
        table.add({"prompt": f"{number}", "answers": [{"text": "a"}] * (1 + number % 7)})

    assert len(table._shapes) == 1


def test_a_row_that_is_a_text_has_no_fields():
    assert [(field.path, field.share) for field in fields(["Why?", {"p": "Who?"}])] == [("p", 0.5)]
