"""Each format says which fields it reads: without one of those a row means something else, and
without any other it means the same.
"""

import copy

import pytest

from labeling.imports.formats import FORMATS
from labeling.imports.mapping import fields, unread
from labeling.text.conversations import BadPrompt

TURNS = [{"role": "user", "content": "Why?", "ts": 7}]
SAID = [{"role": "assistant", "content": "So.", "ts": 7}]
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
CALLED = [
    {"role": "assistant", "content": "I look.", "tool_calls": [CALL], "ts": 7},
    {"role": "tool", "content": "31", "tool_call_id": "c1", "name": "f"},
]
RANKED = {
    "answers": [{"text": "a", "model": "m", "rank": 1, "note": "n"}, {"text": "b", "rank": 2}]
}
REPLY = {"role": "assistant", "text": "a", "rank": 0, "model_name": "m", "review_count": 3}
OTHER = {"role": "assistant", "text": "b", "rank": 1, "labels": {"spam": {"value": 0.5}}}
ROOT = {"role": "prompter", "text": "Why?", "lang": "en", "replies": [REPLY, OTHER], "emojis": [1]}
ITEMS = [{"id": "x", "body": "a", "model": "m", "score": 3}, {"id": "y", "html": "b"}]
ROW = {"prompt_id": "p", "messages": TURNS, "split": "test", "use_case": "u", "language": "en"}
RESULT = {"value": {"ranker": {"rank": ["x", "y"]}}, "from_name": "r"}
ANNOTATION = {"completed_by": 4, "result": [RESULT], "was_cancelled": False, "lead_time": 3.5}
PLACED = [{"value": "one", "rank": 1}, {"value": "two", "rank": 2}]
FIELDS = {"prompt": "Why?", "one": "a", "two": "b", "context": "kept"}
RESPONSES = {"rank": [{"user_id": "u", "value": PLACED}], "note": [{"value": "x"}]}
OLDER = [{"user_id": "u", "values": {"rank": {"value": ["one", "two"]}, "note": {"value": "x"}}}]
POST = {"post": "A post.", "subreddit": "s", "title": "t", "id": "t3"}
SUMMARIES = [{"text": "a", "policy": "p", "note": "n"}, {"text": "b", "policy": "q"}]

# The metadata of a download: of its row, of a judgment, and of each answer of a pair.
OF_ROW = {"dataset": "d" * 64, "prompt_id": "p", "split": "test", "use_case": "u", "language": "en"}
OF_ROW |= {"agreement": 0.5}
OF_JUDGMENT = {"labeler": 1, "kind": "labeler", "seconds": 2.5, "strength": -2, "weight": 1.0}
CHOSEN = {"chosen_model": "m", "chosen_rank": 1, "chosen_rating": 3, "chosen_flags": ["f"]}
REJECTED = {"rejected_model": "n", "rejected_rank": 2, "rejected_rating": 1, "rejected_flags": "f"}
ALL = OF_ROW | OF_JUDGMENT
OF_BOTH = {"models": ["m", "n"], "ratings": [3, 1], "flags": [["f"], ["g"]]}

ROWS = [
    (
        "listwise",
        {"prompt": TURNS, "completions": ["a", "b"], "ranks": [1, 2], "outcome": "ranked"}
        | ALL
        | OF_BOTH,
    ),
    ("pairs", {"prompt": TURNS, "chosen": SAID, "rejected": CALLED} | ALL | CHOSEN | REJECTED),
    ("pairs", {"chosen": TURNS + SAID, "rejected": TURNS + CALLED} | ALL | CHOSEN | REJECTED),
    (
        "labelled",
        {"prompt": TURNS, "completion": CALLED, "label": True, "answer_model": "m"}
        | {"answer_rank": 1, "answer_rating": 3, "answer_flags": ["f"]}
        | OF_ROW
        | {name: value for name, value in OF_JUDGMENT.items() if name != "strength"},
    ),
    ("prompt-completion", {"prompt": TURNS, "completion": SAID} | ALL),
    ("prompt-completion", {"prompt": "Why?", "text": "So."} | OF_ROW),
    ("prompt-only", {"prompt": TURNS} | OF_ROW),
    (
        "open-assistant",
        {"message_tree_id": "1", "prompt": ROOT, "split": "test", "tree_state": "ready"},
    ),
    (
        "summarize-from-feedback",
        {"info": POST, "summaries": SUMMARIES, "choice": 1, "worker": "w", "split": "test"}
        | {"batch": "b1", "extra": {"confidence": 7}},
    ),
    (
        "label-studio",
        {"data": {"text": "Why?", "list": ITEMS, "src": "k"}, "annotations": [ANNOTATION], "id": 5},
    ),
    (
        "label-studio",
        {"data": {"messages": TURNS, "answers": ITEMS}, "id": 5} | {"annotations": [ANNOTATION]},
    ),
    ("argilla", {"id": "r", "fields": FIELDS, "responses": RESPONSES, "metadata": {"a": 1}}),
    ("argilla", {"id": "r", "fields": FIELDS, "responses": OLDER}),
    (
        "argilla",
        {"fields": {"chat": TURNS, "one": TURNS + CALLED, "two": SAID}, "responses": RESPONSES},
    ),
    ("rows", ROW | {"text": "So."}),
    (
        "self-instruct-predictions",
        {"instruction": "Sum up.", "input": "i", "response": "r", "model": "m", "finish": "stop"},
    ),
    (
        "self-instruct",
        {"instruction": "Sum up.", "instances": [{"input": "i", "output": "o", "n": 1}], "id": "s"},
    ),
    (
        "hh-rlhf",
        {
            "chosen": "\n\nHuman: A\n\nAssistant: b",
            "rejected": "\n\nHuman: A\n\nAssistant: c",
            "source": "s",
        },
    ),
    ("trl", {"prompt": TURNS, "chosen": SAID, "rejected": CALLED, "score_chosen": 3}),
    ("trl", {"prompt": "Why?", "chosen": "a", "rejected": "b", "margin": 2}),
    ("trl-implicit", {"chosen": TURNS + SAID, "rejected": TURNS + CALLED, "margin": 2}),
    (
        "trl-unpaired",
        {"prompt": "Why?", "completion": CALLED, "label": True, "labeler": "l", "model": "m"}
        | {"score": 2},
    ),
    (
        "prompts",
        {"prompt": "Why?", "author": "a", "use_case": "u", "language": "en", "split": "test"}
        | {"source": "s", "sensitive": True, "demonstration": "d", "labeler": "l"}
        | {"judge_kind": "person", "licence": "mit", "metadata": {"a": {"b": 1}}, "score": 2}
        | RANKED,
    ),
    (
        "prompts",
        {"messages": TURNS, "answer_1": "a", "model_1": "m", "rank_1": 1, "anwser_3": "c"}
        | {"answer_2": "b", "rank_2": 2},
    ),
    (
        "prompts",
        {"messages": TURNS, "answers": ["a", {"messages": CALLED}]}
        | {"judgments": [{"labeler": "l", "ranks": [1, 2], "judge_kind": "model", "note": "n"}]},
    ),
]


def leaves(value, path="", way=()):
    """(path, way) of each text, number and truth value of a row."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}".lstrip("."), (*way, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from leaves(inner, f"{path}[*]", (*way, place))
    else:
        yield path, way


def changed(row, way):
    """The row with another value, of its kind, at the end of the way."""
    row = copy.deepcopy(row)
    inner = row
    for step in way[:-1]:
        inner = inner[step]
    value = inner[way[-1]]
    inner[way[-1]] = (
        not value
        if isinstance(value, bool)
        else value * 2 + (1 if isinstance(value, int | float) else "x")
    )
    return row


def meaning(format, row):
    try:
        return [vars(entry) for entry in FORMATS[format].read(row, "file.jsonl")]
    except (BadPrompt, KeyError, TypeError, AttributeError) as error:
        return str(error)


@pytest.mark.parametrize("place", range(len(ROWS)), ids=lambda place: f"{ROWS[place][0]}-{place}")
def test_a_format_reads_the_fields_that_it_names_and_no_others(place):
    name, row = ROWS[place]
    format, whole = FORMATS[name], meaning(name, row)
    assert isinstance(whole, list)
    read, unread = set(), set()
    for path, way in leaves(row):
        (unread if meaning(name, changed(row, way)) == whole else read).add(format.field(path))

    assert {path for path in read if not format.reads(path)} == set()
    assert {path for path in unread - read if format.reads(path)} == set()
    assert unread - read


def without(row, way):
    """The row without what stands at the end of the way: without its name, or null in a list."""
    row = copy.deepcopy(row)
    inner = row
    for step in way[:-1]:
        inner = inner[step]
    if isinstance(inner, dict):
        del inner[way[-1]]
    else:
        inner[way[-1]] = None
    return row


def with_zero(row, way):
    row = copy.deepcopy(row)
    inner = row
    for step in way[:-1]:
        inner = inner[step]
    inner[way[-1]] = 0
    return row


@pytest.mark.parametrize("place", range(len(ROWS)), ids=lambda place: f"{ROWS[place][0]}-{place}")
def test_a_zero_in_the_place_of_a_text_is_not_taken_for_nothing(place):
    name, row = ROWS[place]
    read = [
        way
        for path, way in leaves(row)
        if FORMATS[name].reads(FORMATS[name].field(path))
        and meaning(name, changed(row, way)) != meaning(name, row)
    ]
    texts = [way for way in read if isinstance(at(row, way), str)]
    lost = [way for way in texts if meaning(name, with_zero(row, way)) == meaning(name, row)]
    taken_for_nothing = [
        way
        for way in texts
        if meaning(name, with_zero(row, way)) == meaning(name, without(row, way))
        and isinstance(meaning(name, with_zero(row, way)), list)
    ]

    assert texts
    assert (lost, taken_for_nothing) == ([], [])


def at(row, way):
    for step in way:
        row = row[step]
    return row


def test_what_tools_keep_beside_prompt_and_answers_becomes_metadata():
    [entry] = FORMATS["argilla"].read({"fields": FIELDS, "responses": RESPONSES}, "")
    assert entry.metadata == {"context": "kept"}
    [entry] = FORMATS["label-studio"].read(
        {"data": {"text": "Why?", "list": ITEMS, "src": "k", "n": 3}, "annotations": [ANNOTATION]},
        "",
    )
    assert entry.metadata == {"src": "k", "n": 3}


@pytest.mark.parametrize(
    ("name", "row", "asked"),
    [
        (
            "label-studio",
            {
                "id": 1,
                "created_at": "2025",
                "data": {"prompt": "?", "items": [{"id": "1", "body": "a"}]},
                "annotations": [{"id": 2, "lead_time": 3.5, "result": [{"from_name": "r"}]}],
                "meta": {"batch": "nine"},
            },
            ["meta"],
        ),
        (
            "open-assistant",
            {
                "message_tree_id": "t",
                "tree_state": "ready_for_export",
                "prompt": {
                    "text": "?",
                    "role": "prompter",
                    "replies": [{"text": "!", "role": "assistant", "user_id": "u", "note": "n"}],
                },
            },
            ["prompt.replies[*].note"],
        ),
        ("argilla", {"id": "1", "fields": {"prompt": "?"}, "suggestions": ["a"]}, ["suggestions"]),
    ],
)
def test_a_tool_s_own_notes_stay_behind_unasked(name, row, asked):
    assert [field.path for field in unread(FORMATS[name], fields([row]))] == asked
