"""Rows that belong together: answers to one prompt, and messages of a tree."""

from labeling.imports.files import Row
from labeling.imports.mapping import Mapping, Reader

GROUP = {
    "prompt": "prompt",
    "answers": {"text": "response", "score": "score", "model": "model"},
    "group": True,
    "judgment": {"kind": "person", "name": "team"},
}


def read(table, rows):
    """(entries, {place: reason}) of these rows; each row comes out once."""
    reader = Reader(Mapping.parse(table))
    outcome = list(reader.read([Row(n, value) for n, value in enumerate(rows, start=1)]))
    places = sorted(row.place for row, _entries, _reason in outcome)
    assert places == list(range(1, len(rows) + 1))
    entries = [entry for _row, entries, _reason in outcome for entry in entries]
    return entries, {row.place: reason for row, _entries, reason in outcome if reason}


def said(entry):
    return [answer["text"] for answer in entry.answers], entry.judgments[0]["ranks"]


def test_rows_of_one_prompt_are_one_ranking_wherever_they_stand():
    entries, bad = read(
        GROUP,
        [
            {"prompt": "A?", "response": "a1", "score": 1},
            {"prompt": "B?", "response": "b1", "score": 3},
            {"prompt": "A?", "response": "a2", "score": 2},
            {"prompt": "B?", "response": "b2", "score": 3},
            {"prompt": "C?", "response": "c1", "score": "N/A"},
            {"prompt": "D?", "response": "d1", "score": 4},
            {"prompt": "B?", "response": None, "score": 4},
        ],
    )

    assert list(map(said, entries)) == [(["a1", "a2"], [2, 1]), (["b1", "b2"], [1, 1])]
    assert bad == {
        5: 'the score of answer 1 is "N/A"',
        6: "fewer than two of the answers have a rank or score",
        7: "response is empty",
    }


def test_rows_that_name_their_judges_are_a_judgment_of_each():
    table = GROUP | {"judgment": {"kind": "person", "judge": "who"}}
    rows = [
        {"prompt": "A?", "response": text, "score": score, "who": who}
        for who, text, score in [
            ("ann", "x", 1),
            ("ann", "y", 2),
            ("ben", "z", 5),
            ("ben", "x", 4),
            ("ann", "z", 3),
        ]
    ]

    ((entry,), bad) = read(table, rows)

    assert [answer["text"] for answer in entry.answers] == ["x", "y", "z"]
    assert [(j["judge"], j["ranks"], j.get("answers")) for j in entry.judgments] == [
        ("ann", [3, 2, 1], None),
        ("ben", [2, 1], [0, 2]),
    ]
    assert bad == {}
    assert read(table, [*rows, rows[0]])[1] == dict.fromkeys(
        range(1, 7), "one judge judges an answer twice"
    )


def test_what_joined_rows_say_differently_of_their_prompt_is_kept():
    table = GROUP | {"keep": ["note", "same"], "split": "split"}
    rows = [
        {"prompt": "A?", "response": n, "score": 1, "note": n, "same": 1, "split": "test"}
        for n in ("x", "y")
    ]

    ((entry,), _bad) = read(table, rows)
    _none, bad = read(table, [rows[0], rows[1] | {"split": "train"}])

    assert entry.metadata == {"note": ["x", "y"], "same": 1}
    assert entry.split == "test"
    assert bad == dict.fromkeys((1, 2), "rows that belong together name two splits")


TREE = {
    "tree": {"id": "id", "parent": "parent", "of": "tree", "role": "role"},
    "answers": {"text": "text", "rank": "rank"},
    "judgment": {"kind": "person", "optional": True},
}


def message(id, parent, role, text, rank=None, tree="t"):
    return {"id": id, "parent": parent, "role": role, "text": text, "rank": rank, "tree": tree}


def test_messages_of_a_tree_are_joined_in_any_order():
    entries, bad = read(
        TREE,
        [
            message("m3", "m1", "assistant", "Daily.", 0),
            message("m1", None, "prompter", "Why?"),
            message("m2", "m1", "assistant", "Cold.", 2),
            message("m4", "m1", "assistant", "Wait.", 1),
            message("m5", "m1", "assistant", "No idea."),
            message("m6", "m3", "prompter", "How much?"),
            message("m7", "m6", "assistant", "A cup.", 1.0),
            message("m8", "m6", "assistant", "Two.", 0),
            message("m9", "m8", "prompter", "Thanks."),
        ],
    )

    assert list(map(said, entries)) == [
        (["Daily.", "Cold.", "Wait."], [1, 3, 2]),
        (["A cup.", "Two."], [2, 1]),
    ]
    assert [turn["content"] for turn in entries[1].messages] == ["Why?", "Daily.", "How much?"]
    assert entries[0].ignored == {"unranked": "No idea.\nThanks."}
    assert bad == {}


def test_a_message_whose_parent_is_not_there_is_a_bad_row():
    entries, bad = read(
        TREE,
        [
            message("m1", None, "prompter", "Why?"),
            message("m2", "m1", "assistant", "A", 0),
            message("m3", "m1", "assistant", "B", 1),
            message("m4", "gone", "assistant", "C", 1),
            message("x1", "x2", "prompter", "?", tree="circle"),
            message("x2", "x1", "assistant", "!", 0, tree="circle"),
            message("x3", "x1", "assistant", "!!", 1, tree="circle"),
        ],
    )

    assert list(map(said, entries)) == [(["A", "B"], [1, 2])]
    assert bad[4] == "the message that it answers is not there"
    assert set(bad) == {4, 5, 6, 7}


def test_rows_far_apart_are_joined_and_each_comes_out_once():
    rows = [{"prompt": f"{n % 500}?", "response": f"{n}", "score": n} for n in range(1_000)]

    entries, bad = read(GROUP, rows)

    assert (len(entries), bad) == (500, {})
    assert {len(entry.answers) for entry in entries} == {2}


JUDGED = TREE | {"judgment": {"kind": "person", "judge": "who", "name": "team"}}


def test_each_judge_of_replies_is_a_judgment():
    rows = [
        message("m1", None, "prompter", "Why?"),
        message("m2", "m1", "assistant", "A", 1) | {"who": "ann"},
        message("m3", "m1", "assistant", "B", 0) | {"who": "ann"},
        message("m4", "m1", "assistant", "C", 0) | {"who": "ben"},
        message("m5", "m1", "assistant", "D", 1) | {"who": "ben"},
    ]

    ((entry,), bad) = read(JUDGED, rows)

    assert bad == {}
    assert [(j["judge"], j["ranks"], j["answers"]) for j in entry.judgments] == [
        ("ann", [2, 1], [0, 1]),
        ("ben", [1, 2], [2, 3]),
    ]


def test_the_judge_of_replies_may_stand_at_their_message():
    rows = [
        message("m1", None, "prompter", "Why?") | {"who": "ann"},
        message("m2", "m1", "assistant", "A", 1),
        message("m3", "m1", "assistant", "B", 0),
    ]

    ((entry,), _bad) = read(JUDGED, rows)
    _none, bad = read(JUDGED, [rows[0], *(row | {"who": "ben"} for row in rows[1:])])

    assert [judgment["judge"] for judgment in entry.judgments] == ["ann"]
    fault = "the judge ann of a message ranks none of its replies"
    assert bad == dict.fromkeys((1, 2, 3), fault)


def test_what_is_kept_of_turns_and_replies_comes_in_with_them():
    table = TREE | {"keep": ["note"], "language": "lang", "author": "by"}
    rows = [
        message("m1", None, "prompter", "Why?") | {"note": "asked", "lang": "en", "by": "x"},
        message("m2", "m1", "assistant", "A", 1) | {"note": "first", "lang": "de", "by": "y"},
        message("m3", "m1", "assistant", "B", 0) | {"lang": "en", "by": "z"},
    ]

    ((entry,), bad) = read(table, rows)

    assert bad == {}
    assert entry.metadata == {"note": ["asked", "first", None], "language": ["en", "de", "en"]}
    assert (entry.language, entry.author) == ("en", "x")


def test_a_list_that_joining_makes_is_not_overwritten_by_a_field_of_its_name():
    table = GROUP | {"keep": ["language", "licence"], "language": "lang", "licence": "terms"}
    rows = [
        {"prompt": "A?", "response": lang, "score": 1, "lang": lang, "terms": "MIT"}
        for lang in ("en", "de")
    ]
    kept = [row | {"licence": "as it is"} for row in rows]
    doubled = [row | {"language": "English"} for row in rows]

    ((entry,), _bad) = read(table, kept)
    _none, bad = read(table, doubled)

    assert entry.metadata == {"language": ["en", "de"], "licence": "as it is"}
    assert bad == dict.fromkeys((1, 2), "two fields are the metadata 'language'")
