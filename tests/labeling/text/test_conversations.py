"""Conversations with tools, instructions of a developer and contents in parts."""

import dataclasses
import json

import pytest

from labeling.exports.contamination import near_held_out
from labeling.exports.text_splits import _as_texts
from labeling.imports.formats import base
from labeling.text import conversations
from labeling.text.conversations import BadPrompt, Entry
from modelops import rows
from tests.factories import ANSWER_TEXT, ANSWER_TURNS, TOOL_TURNS


def call(name="search", arguments=None, **more):
    return {"type": "function", "function": {"name": name, "arguments": arguments or {}}} | more


STORED = TOOL_TURNS
GIVEN = [  # the arguments are an object, as chat templates read them
    *STORED[:2],
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [call("weather", {"city": "Roma", "at": ["now"]}, id="c1")],
    },
    STORED[3],
]


def test_turns_of_tools_and_contents_in_parts_are_kept_and_arguments_become_json_text():
    assert conversations.turns(GIVEN) == STORED
    assert conversations.turns(STORED) == STORED  # as it is frozen, so it comes in again


def test_the_text_of_a_turn_is_its_content_and_a_line_for_each_call():
    assert [rows.turn_text(turn) for turn in STORED] == [
        "Use the tools.",
        "How warm is\nRome?",
        'weather({"city": "Roma", "at": ["now"]})',
        '{"celsius": 31}',
    ]
    said = {"role": "assistant", "content": "I look.", "tool_calls": [call("a", "{}")] * 2}
    assert rows.turn_text(said) == "I look.\na({})\na({})"


def test_an_ordinary_conversation_keeps_its_digest():
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello", "tool_calls": None, "name": None},
        {"role": "user", "content": "Bye"},
    ]

    assert rows.digest(conversations.turns(messages)) == (
        "6ebf32e87408453d9b5dc2b908d546db68e11ba2fe2370607238b06d62607ce1"
    )


@pytest.mark.parametrize(
    ("turn", "why"),
    [
        ("Hi", "each turn must be an object, not a text"),
        ({"role": "function", "content": "x"}, "needs a role"),
        ({"role": ["user"], "content": "x"}, "needs a role: .*, not a list"),
        ({"content": "x"}, "needs a role"),
        ({"role": "user", "content": {"a": 1}}, "a text or a list of parts, not an object"),
        ({"role": "user", "content": ""}, "not empty"),
        ({"role": "user", "content": [{"type": "text", "text": " "}]}, "not empty"),
        ({"role": "user", "content": []}, "a text or a list of parts"),
        ({"role": "user", "content": None}, "a text or a list of parts"),
        ({"role": "user", "content": ["x"]}, "type None"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
            "^holds a picture$",
        ),
        ({"role": "user", "content": [{"type": "image"}]}, "^holds a picture$"),
        (
            {"role": "user", "content": [{"type": "text", "text": "x", "image": "a.png"}]},
            "^holds a picture$",
        ),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "type 'input_audio'"),
        (
            {"role": "user", "content": [{"type": "text", "text": "x", "cache": 1}]},
            "a type and a text",
        ),
        ({"role": "user", "content": "x", "tool_calls": [call()]}, "only a turn of the assistant"),
        ({"role": "assistant", "content": None, "tool_calls": {}}, "a text or a list of parts"),
        ({"role": "assistant", "tool_calls": {"a": 1}}, "must be a list"),
        ({"role": "assistant", "tool_calls": [{"type": "custom"}]}, '"function"'),
        ({"role": "assistant", "tool_calls": [call("")]}, "the name of its function"),
        ({"role": "assistant", "tool_calls": [call(index=0)]}, "can't hold 'index'"),
        ({"role": "assistant", "tool_calls": [call(id="x" * 201)]}, "id must be a text"),
        ({"role": "assistant", "tool_calls": [call("a", "[1]")]}, "must be an object"),
        ({"role": "assistant", "tool_calls": [call("a", "{")]}, "must be an object"),
        ({"role": "assistant", "tool_calls": [call("a", '{"n": NaN}')]}, "must be an object"),
        ({"role": "assistant", "tool_calls": [call("a", {"n": 2**70})]}, "must be an object"),
        ({"role": "tool", "content": "x", "tool_call_id": 1}, "tool_call_id must be a text"),
    ],
)
def test_what_no_turn_can_be_is_refused_by_name(turn, why):
    with pytest.raises(BadPrompt, match=why):
        conversations.turns([turn, {"role": "user", "content": "x"}])


def test_the_last_turn_is_the_users_or_a_tools():
    assert conversations.turns(GIVEN)[-1]["role"] == "tool"
    with pytest.raises(BadPrompt, match="the user's or a tool's"):
        conversations.turns(GIVEN[:3])


def test_a_tool_may_have_nothing_to_say():
    for content in ("", None):
        turns = [{"role": "user", "content": "Go."}, {"role": "tool", "content": content}]
        assert conversations.turns(turns)[-1] == {"role": "tool", "content": ""}


def test_parts_and_arguments_count_towards_the_longest_conversation():
    half = conversations.LONGEST // 2 + 1
    parts = [{"type": "text", "text": "x" * half}] * 2
    with pytest.raises(BadPrompt, match="longer than"):
        conversations.turns([{"role": "user", "content": parts}])
    with pytest.raises(BadPrompt, match="longer than"):
        conversations.turns(
            [
                {"role": "assistant", "tool_calls": [call("a", {"x": "x" * half * 2})]},
                {"role": "tool", "content": "done"},
            ]
        )


def test_what_no_database_stores_is_gone_from_every_text():
    turns = conversations.turns(
        [
            {"role": "user", "content": [{"type": "text", "text": "a\0b"}]},
            {"role": "assistant", "tool_calls": [call("f", {"k\0": ["v\0\ud800"]})]},
            {"role": "tool", "name": "f\0", "content": "\0"},
        ]
    )

    assert turns == [
        {"role": "user", "content": [{"type": "text", "text": "ab"}]},
        {"role": "assistant", "content": "", "tool_calls": [call("f", '{"k": ["v?"]}')]},
        {"role": "tool", "name": "f", "content": ""},
    ]


def test_cleaning_reaches_contents_parts_and_the_values_of_arguments():
    texts = conversations.texts(STORED)

    assert texts == [
        "Use the tools.",
        "How warm is",
        "Rome?",
        "",
        "Roma",
        "now",
        '{"celsius": 31}',
    ]
    changed = conversations.with_texts(STORED, [f'"{text}"' for text in texts])
    assert changed[1]["content"][1] == {"type": "text", "text": '"Rome?"'}
    [changed_call] = changed[2]["tool_calls"]
    assert json.loads(changed_call["function"]["arguments"]) == {"city": '"Roma"', "at": ['"now"']}
    assert conversations.with_texts(STORED, texts) == STORED


def test_a_page_shows_each_turn_as_text_and_names_the_tool():
    assert [(turn.role, turn.name) for turn in conversations.shown(STORED)] == [
        ("developer", "Developer"),
        ("user", "User"),
        ("assistant", "Assistant"),
        ("tool", "Tool: weather"),
    ]
    shown = conversations.shown(STORED)
    assert [turn.text for turn in shown] == list(map(rows.turn_text, STORED))
    assert [call.name for turn in shown for call in turn.calls] == ["weather"]


def test_what_the_user_asked_last_is_the_users_turn():
    assert conversations.asked(STORED) == "How warm is\nRome?"
    assert conversations.asked([{"role": "tool", "content": "x"}]) == "x"


LONG = "Where does the old captain look for an island that is on no map of the northern sea?"


def frozen(split, messages):
    return {"split": split, "messages": messages}


def test_a_training_prompt_is_near_a_held_out_one_by_its_parts_whatever_the_developer_says():
    def parts(text):
        return {"role": "user", "content": [{"type": "text", "text": text}]}

    train = frozen("train", [{"role": "developer", "content": "Be brief, " * 20}, parts(LONG)])
    other = frozen("train", [parts(LONG[::-1])])
    test = frozen("test", [{"role": "user", "content": LONG}])

    assert near_held_out(lambda: iter([train, other, test])) == {0}


def test_a_prompt_with_tools_has_a_text_that_a_corpus_can_begin_with():
    assert 'How warm is\nRome?\n\nweather({"city": "Roma", "at": ["now"]})\n\n{"celsius": 31}' in (
        _as_texts(STORED)
    )


def test_an_answer_is_its_text_or_turns_with_a_transcript_as_text():
    assert base.answer("Hi.") == {"text": "Hi.", "model": "unknown"}
    assert base.answer([{"role": "assistant", "content": ""}], "m") == {"text": "", "model": "m"}
    assert base.answer(ANSWER_TURNS) == {
        "text": ANSWER_TEXT,
        "model": "unknown",
        "messages": ANSWER_TURNS,
    }
    assert rows.answer_text(ANSWER_TURNS[:1]) == rows.turn_text(ANSWER_TURNS[0])


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        ([], "a text, or a list of turns, not an empty list"),
        (12, "an answer must be a text, not a number"),
        ({"text": "x"}, "an answer must be a text, not an object"),
        (None, "an answer must be a text, not null"),
        ("x" * 100_001, "an answer has 100,001 characters: at most 100,000 characters"),
        ([{"role": "user", "content": "Hi"}], "begin with the assistant's"),
        ([{"role": "assistant", "content": "x" * 100_001}], "at most 100,000 characters"),
        ([{"role": "assistant", "content": [{"type": "image"}]}], "holds a picture"),
    ],
)
def test_what_no_answer_can_be_is_refused(turns, why):
    with pytest.raises(BadPrompt, match=why):
        base.answer(turns)


def test_metadata_are_an_object_of_a_limited_size_as_a_database_holds_it():
    kept = {"source id": 7, "tags": ["a\0b", None], "deep": {"x\ud800": 1.5}}
    assert conversations.metadata(kept) == {
        "source id": 7,
        "tags": ["ab", None],
        "deep": {"x?": 1.5},
    }
    assert conversations.metadata('{"a": 1}') == {"a": 1}
    assert conversations.metadata({"a": "é" * 8_188})  # two bytes each, and eight around them


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([1], "must be an object, not a list"),
        ("{", "must be an object: this text is not JSON"),
        ({"a": float("nan")}, "must be an object with finite numbers"),
        ({"a": 2**64}, "must be an object with finite numbers of at most 64 bits"),
        ({"a": "é" * 8_189}, "at most 16,384 bytes"),
    ],
)
def test_other_metadata_are_refused(value, why):
    with pytest.raises(BadPrompt, match=why):
        conversations.metadata(value)


def test_a_turn_is_empty_exactly_where_cleaning_leaves_nothing():
    for code in range(0x3100):  # all spaces and control characters are below it
        for text in (chr(code), f" {chr(code)}\n"):
            turn = {"role": "user", "content": text}
            assert conversations.is_empty(turn) == (not conversations.clean(text)), hex(code)


def test_a_changed_copy_of_an_entry_is_that_of_dataclasses_replace():
    entry = Entry([{"role": "user", "content": "Hi"}], author="ann", metadata={"a": 1})

    changed = entry.but(line=3, split="test")

    assert changed == dataclasses.replace(entry, line=3, split="test")
    assert entry.line == 0


def test_the_digest_of_turns_is_that_of_their_canonical_line():
    every_character = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000), 0x1F600]))
    call = {"name": "f", "arguments": '{"b": 1.50, "a": 1e400}'}
    messages = [
        {"role": "user", "content": every_character},
        {"tool_calls": [{"type": "function", "id": "1", "function": call}], "role": "assistant"},
        {"role": "tool", "content": [{"type": "text", "text": ""}], "tool_call_id": "1"},
    ]
    assert conversations.digest(messages) == rows.digest(messages)
