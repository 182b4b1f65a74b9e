"""A mapping is checked before a row is read."""

import pytest

from labeling.imports.mapping import BadMapping, Mapping, load, with_fields

PAIR = {"prompt": "p", "answers": ["a", "b"]}
PERSON = {"kind": "person"}


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ([], ""),
        ({}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": "a["}, "prompt"),
        ({"prompt": "a[*].b"}, "prompt"),
        ({"prompt": "p", "promt": "q"}, "promt"),
        ({"prompt": {"field": "p", "as": "poem"}}, "prompt.as"),
        ({"prompt": {"field": "p", "form": "text"}}, "prompt.form"),
        ({"prompt": {"field": "p", "marks": {"user": "Q:"}}}, "prompt.marks"),
        ({"prompt": "p", "answers": ["a"]}, "answers"),
        ({"prompt": "p", "chosen": "c"}, "chosen"),
        ({"prompt": "p", "chosen": "c", "rejected": "r"}, "judgment.kind"),
        (PAIR | {"judgment": {"winner": {"field": "w", "a": [1], "b": [2]}}}, "judgment.kind"),
        (PAIR | {"judgment": {"kind": "robot"}}, "judgment.kind"),
        (PAIR | {"judgment": PERSON}, "judgment"),
        (PAIR | {"judgment": PERSON | {"winner": {"field": "w"}}}, "judgment.winner"),
        (
            PAIR | {"judgment": PERSON | {"winner": {"field": "w", "a": [1], "b": []}}},
            "judgment.winner.b",
        ),
        (
            PAIR | {"judgment": PERSON | {"winner": {"field": "w", "a": [1], "b": ["1.0"]}}},
            "judgment.winner",
        ),
        (
            PAIR | {"judgment": PERSON | {"winner": {"field": "w", "a": [1], "b": [2], "c": [3]}}},
            "judgment.winner",
        ),
        (PAIR | {"judgment": PERSON | {"label": "l"}}, "judgment.label"),
        (PAIR | {"judgment": PERSON | {"ranks": "r", "scores": "s"}}, "judgment"),
        (
            PAIR | {"judgment": PERSON | {"scale": {"field": "s", "a": 1, "b": 2, "tie": 3}}},
            "judgment.scale",
        ),
        (PAIR | {"judgment": PERSON | {"ranks": "r", "tolerance": 1}}, "judgment.tolerance"),
        (PAIR | {"group": True}, "group"),
        ({"prompt": "p", "judgment": PERSON | {"label": "l"}}, "judgment"),
        ({"prompt": "p", "split": {"value": "holdout"}}, "split.value"),
        ({"prompt": "p", "source": {"field": "s", "value": "v"}}, "source"),
        ({"prompt": "p", "keep": ["a.."]}, "keep"),
        ({"conversation": "c", "prompt": "p"}, "conversation"),
        ({"refuse": "no"}, "refuse"),
    ],
)
def test_a_mapping_with_a_fault_is_refused_at_its_key(table, key):
    with pytest.raises(BadMapping) as refused:
        Mapping.parse(table)
    assert refused.value.key == key


def test_a_mapping_gives_back_the_table_that_it_was_made_of():
    table = PAIR | {
        "judgment": PERSON | {"winner": {"field": "w", "a": [1], "b": [2]}},
        "keep": ["x"],
    }

    mapping = Mapping.parse(table)

    assert mapping.as_dict() == table
    assert Mapping.parse(mapping.as_dict()) == mapping
    assert with_fields(mapping, ["y"], ["z"]).as_dict() == table | {
        "keep": ["x", "y"],
        "leave_out": ["z"],
    }


def test_a_mapping_says_what_each_field_is():
    mapping = Mapping.parse(
        PAIR | {"judgment": PERSON | {"winner": {"field": "w.is", "a": [1], "b": [2]}}}
    )

    fields = ("p", "p[*].content", "p[*].weight", "a", "w.is", "w.was", "w", "none")
    assert [mapping.role(field) for field in fields] == [
        *("prompt", "prompt", "", "answer A", "winner", "", "winner", "")
    ]


def test_a_file_of_toml_is_a_mapping_with_its_name(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('prompt = "question"\nkeep = ["id"]\n')

    assert load(file).as_dict() == {"name": "mine", "prompt": "question", "keep": ["id"]}
    file.write_text("prompt = ")
    with pytest.raises(BadMapping, match="not TOML"):
        load(file)
