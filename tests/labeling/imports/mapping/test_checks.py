"""A mapping that says something which has no effect is refused, with a sentence that names it."""

import json

import pytest
from django.core.management import CommandError, call_command

from labeling.imports import mapping_text
from labeling.imports.mapping import BadMapping, Mapping, with_fields
from tests.labeling.imports.test_forms import looked_at
from tests.labeling.imports.test_mapped_uploads import sent

PERSON = {"kind": "person"}
PAIR = {"chosen": "c", "rejected": "r", "prompt": "p", "judgment": PERSON}
COLUMNS = {"prompt": "p", "answers": ["a", "b"]}
WINNER = {"winner": {"field": "w", "a": [1], "b": [2]}}
JUDGED = COLUMNS | {"judgment": PERSON | WINNER}
SCALE = {"scale": {"field": "s", "a": -3, "b": 3, "strength": True}}
TREE = {
    "tree": {"id": "id", "parent": "parent", "of": "tree", "role": "role"},
    "answers": {"text": "text", "rank": "rank"},
    "judgment": PERSON,
}
LABELLED = {"prompt": "p", "answers": "a", "judgment": PERSON | {"label": "l"}}


def columns(**second):
    return {"prompt": "p", "answers": ["a", {"text": "b"} | second]}


@pytest.mark.parametrize(
    ("table", "key"),
    [
        (PAIR | {"chosen": {"text": "c", "score": "s"}}, "chosen.score"),
        (PAIR | {"rejected": {"text": "r", "rank": "s"}}, "rejected.rank"),
        (PAIR | {"judgment": PERSON | WINNER}, "judgment.winner"),
        (PAIR | {"judgment": PERSON | {"scores": "s"}}, "judgment.scores"),
        (PAIR | {"judgment": PERSON | {"answers": [1, 0]}}, "judgment.answers"),
        (PAIR | {"judgment": PERSON | {"optional": True}}, "judgment.optional"),
        (columns(rating="n"), "answers.1.rating"),
        (columns(flags="n"), "answers.1.flags"),
        ({"prompt": "p", "answers": {"each": "l", "text": "t", "rating": "n"}}, "answers.rating"),
        (
            {"prompt": "p", "answers": ["a", "b", {"text": "c", "rating": "n"}]}
            | {"judgment": PERSON | WINNER | {"answers": [0, 1]}},
            "answers.2.rating",
        ),
        (
            columns(rating="n") | {"judgment": PERSON | WINNER | {"ratings": "m"}},
            "judgment.ratings",
        ),
        (columns(flags="n") | {"judgment": PERSON | WINNER | {"flags": "m"}}, "judgment.flags"),
        (
            COLUMNS | {"judgment": PERSON | SCALE | {"strength": "t"}},
            "judgment.strength",
        ),
        (
            COLUMNS | {"judgment": PERSON | WINNER | {"judge": {"value": "x"}, "name": "y"}},
            "judgment.name",
        ),
        (
            COLUMNS | {"judgment": PERSON | {"winner": {"field": "w", "by": "model"}}},
            "judgment.winner.by",
        ),
        (LABELLED | {"answers": {"text": "a", "optional": True}}, "answers.optional"),
        (
            LABELLED
            | {"group": True, "judgment": PERSON}
            | {"answers": {"text": "a", "score": "s", "optional": True}},
            "answers.optional",
        ),
        ({"prompt": "p", "turns": "t"}, "turns"),
        ({"prompt": "p", "demonstration": "d", "turns": "t"}, "turns"),
        (
            {"prompt": "p", "turns": "t"}
            | {"answers": [{"text": {"field": name, "as": "text"}} for name in "ab"]},
            "turns",
        ),
        ({"prompt": "p", "shared": True}, "shared"),
        ({"conversation": ["a", "b"]}, "conversation"),
        ({"conversation": {"field": "c", "as": "parts"}}, "conversation"),
        ({"prompt": "p", "split": {"field": "s", "prefix": "my-"}}, "split.prefix"),
        (
            JUDGED | {"judgment": WINNER | {"kind": {"field": "k", "prefix": "a "}}},
            "judgment.kind.prefix",
        ),
        (TREE | {"answers": {"text": ["a", "b"], "rank": "rank"}}, "answers.text"),
        (TREE | {"answers": TREE["answers"] | {"optional": True}}, "answers.optional"),
        (TREE | {"judgment": PERSON | {"seconds": "s"}}, "judgment.seconds"),
        (TREE | {"judgment": PERSON | {"ratings": "s"}}, "judgment.ratings"),
        (TREE | {"judgment": PERSON | {"each": "s"}}, "judgment.each"),
        ({"prompt": "p", "leave_out": ["p"]}, "leave_out"),
        ({"prompt": "p", "keep": ["meta"], "leave_out": ["meta.name"]}, "leave_out"),
        ({"prompt": "p", "keep": ["x"], "leave_out": ["x"]}, "leave_out"),
    ],
)
def test_what_has_no_effect_is_refused_at_its_key(table, key):
    with pytest.raises(BadMapping) as refused:
        Mapping.parse(table)
    assert refused.value.key == key


@pytest.mark.parametrize(
    "table",
    [
        PAIR | {"chosen": {"text": "c", "rating": "n"}},
        PAIR | {"judgment": PERSON | {"each": "js", "optional": True}},
        JUDGED | {"answers": [{"text": "a"}, {"text": "b", "optional": True}]},
        JUDGED
        | {"answers": {"each": "l", "model": "m"}}
        | {"judgment": PERSON | {"winner": {"field": "w", "by": "model"}}},
        {"conversation": "c", "turns": "t"},
        {"answers": ["a", "b"], "turns": "t", "judgment": PERSON | WINNER},
        {"prompt": "p.text", "leave_out": ["p"]},
        {"prompt": "p", "keep": ["meta.name"], "leave_out": ["meta"]},
        {"prompt": "p", "source": {"field": "s", "prefix": "my-"}},
    ],
)
def test_what_has_an_effect_is_taken(table):
    assert Mapping.parse(table).as_dict() == table


def test_what_a_person_says_of_a_field_goes_before_what_the_mapping_says():
    mapping = Mapping.parse({"prompt": "p", "keep": ["id", "meta.a"], "leave_out": ["note"]})

    assert with_fields(mapping, ["note"], ["meta"]).as_dict() == {
        "prompt": "p",
        "keep": ["id", "note"],
        "leave_out": ["meta"],
    }
    with pytest.raises(BadMapping, match="lies below meta"):
        with_fields(mapping, ["meta"], ["meta.secret"])
    with pytest.raises(BadMapping, match="id has no effect: it is read as metadata"):
        with_fields(mapping, ["id"], ["id"])


SAID = "chosen.score: has no effect: chosen and rejected decide already, so keep it as metadata"
TABLE = PAIR | {"chosen": {"text": "c", "score": "s"}}
ROW = {"p": "?", "c": "Yes.", "r": "No.", "s": 4}


@pytest.mark.django_db
def test_the_command_says_what_has_no_effect(project, tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROW))
    (tmp_path / "ours.toml").write_text(mapping_text.written(TABLE))

    with pytest.raises(CommandError, match=SAID):
        call_command(
            "import", tmp_path / "rows.jsonl", project=project.slug, mapping=tmp_path / "ours.toml"
        )


@pytest.mark.django_db
def test_the_api_and_the_page_say_what_has_no_effect(client_for, carol):
    client = client_for(carol)
    address, _page = looked_at(client, json.dumps(ROW))
    job = address.rstrip("/").split("/")[-1]

    response = client.post(
        f"/api/v1/projects/{address.split('/')[2]}/imports/{job}/check",
        {"format": "mapping", "mapping": TABLE},
        content_type="application/json",
    )
    page = sent(
        client, address, client.get(address), use_text="1", text=mapping_text.written(TABLE)
    )

    assert (response.status_code, page.status_code) == (400, 200)
    assert SAID in response.content.decode()
    assert SAID in page.content.decode()
