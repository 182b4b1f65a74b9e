"""Rows to entries, as a mapping says."""

import json

import pytest

from labeling.imports.files import Row
from labeling.imports.mapping import Mapping, Reader
from labeling.text.conversations import BadPrompt

PERSON = {"kind": "person"}
PAIR = {"prompt": "prompt", "answers": ["a", "b"]}


def read(table, row):
    """The entry of a row."""
    (entry,) = Reader(Mapping.parse(table)).entries(Row(1, row))
    return entry


def reason(table, row):
    """Why a row is bad."""
    with pytest.raises(BadPrompt) as refused:
        read(table, row)
    return str(refused.value)


def said(turns):
    return [(turn["role"], turn["content"]) for turn in turns]


def texts(entry):
    return [answer["text"] for answer in entry.answers]


def judged(judgment, row, **besides):
    """The ranks of a pair of answers by a judgment, or why there are none."""
    table = PAIR | besides | {"judgment": PERSON | judgment}
    whole = {"prompt": "?", "a": "one", "b": "two"} | row
    try:
        (made,) = read(table, whole).judgments
    except BadPrompt as error:
        return str(error)
    return made["ranks"]


# Prompts


TRANSCRIPT = "\n\nHuman: Hi\n\nAssistant: Hello. \n\nHuman: Why?\n\nAssistant:"
TALK = [("user", "Hi"), ("assistant", "Hello. "), ("user", "Why?")]


@pytest.mark.parametrize(
    ("prompt", "value", "turns"),
    [
        ("p", "Why?", [("user", "Why?")]),
        ("p", "\n\nHuman: stays a text", [("user", "\n\nHuman: stays a text")]),
        ("p", [{"role": "user", "content": "Why?"}], [("user", "Why?")]),
        ("p", [{"from": "human", "value": "Why?"}], [("user", "Why?")]),
        ("p", {"from": "human", "value": "Why?"}, [("user", "Why?")]),
        (
            {"field": "p", "as": "messages"},
            '[{"role":"user","content":"Why?"}]',
            [("user", "Why?")],
        ),
        ({"field": "p", "as": "transcript"}, TRANSCRIPT, TALK),
        ({"field": "p", "as": "transcript"}, TRANSCRIPT.strip() + " ", TALK),
        (
            {"field": "p", "as": "transcript", "marks": {"user": "Q:", "assistant": "A:"}},
            "Q: one\n\nA: two\n\nQ: three",
            [("user", "one"), ("assistant", "two"), ("user", "three")],
        ),
        (
            {"field": "p", "as": "exchanges"},
            [{"input": "Hi", "output": "Hello. "}, {"input": "Why?"}],
            TALK,
        ),
        ({"field": "p", "as": "turns"}, '["Hi", "Hello. ", "Why?"]', TALK),
        (
            {"field": "p", "as": "parts"},
            [{"type": "text", "text": "Why?"}],
            [("user", [{"type": "text", "text": "Why?"}])],
        ),
        ("p[-1].content", [{"content": "Hi"}, {"content": "Why?"}], [("user", "Why?")]),
    ],
)
def test_a_prompt_is_read_in_the_form_that_the_file_has(prompt, value, turns):
    assert said(read({"prompt": prompt}, {"p": value}).messages) == turns


def test_texts_are_joined_by_an_empty_line_where_they_are_not_empty():
    table = {"prompt": ["instruction", "input"], "demonstration": "output"}

    whole = read(table, {"instruction": "Add.", "input": "1, 2", "output": "3"})
    short = read(table, {"instruction": "Add.", "input": "", "output": "3"})

    assert said(whole.messages) == [("user", "Add.\n\n1, 2")]
    assert said(short.messages) == [("user", "Add.")]
    assert whole.demonstration == "3"


def test_system_and_history_stand_before_the_prompt():
    table = {"prompt": "p", "system": "s", "history": {"field": "h", "as": "exchanges"}}

    entry = read(table, {"p": "Why?", "s": "Be brief.", "h": [["Hi", "Hello. "]]})
    bare = read(table, {"p": "Why?", "s": None, "h": []})

    assert said(entry.messages) == [("system", "Be brief."), *TALK]
    assert said(bare.messages) == [("user", "Why?")]


# Whole conversations


def talk(*contents):
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(contents)]


CHOSEN = {"chosen": "chosen", "rejected": "rejected", "judgment": {"kind": "model"}}


def test_the_turns_that_whole_conversations_share_are_the_prompt():
    row = {
        "chosen": talk("Hi", "Hello.", "Why?", "So."),
        "rejected": talk("Hi", "Hello.", "Why?", ""),
    }

    entry = read(CHOSEN, row)

    assert said(entry.messages) == said(talk("Hi", "Hello.", "Why?"))
    assert texts(entry) == ["So.", ""]
    assert entry.judgments == [{"judge": "imported", "judge_kind": "model", "ranks": [1, 2]}]


def test_conversations_that_part_early_are_answers_of_several_turns():
    row = {"chosen": talk("Hi", "A", "More?", "B"), "rejected": talk("Hi", "C", "More?", "D")}

    entry = read(CHOSEN, row)

    assert said(entry.messages) == [("user", "Hi")]
    assert [said(answer["messages"]) for answer in entry.answers] == [
        [("assistant", "A"), ("user", "More?"), ("assistant", "B")],
        [("assistant", "C"), ("user", "More?"), ("assistant", "D")],
    ]


def test_a_turn_s_number_ends_conversations_after_its_answer():
    table = {
        "answers": ["conversation_a", "conversation_b"],
        "turns": "turn",
        "judgment": PERSON | {"winner": {"field": "w", "a": ["a"], "b": ["b"]}},
    }
    row = {
        "conversation_a": talk("Hi", "A", "More?", "B"),
        "conversation_b": talk("Hi", "C", "More?", "D"),
        "w": "b",
    }

    assert texts(read(table, row | {"turn": 1})) == ["A", "C"]
    assert texts(read(table, row | {"turn": 2}))[0].endswith("B")
    assert "no turn 3" in reason(table, row | {"turn": 3})
    assert "number of a turn" in reason(table, row | {"turn": None})


def test_a_prompt_beside_whole_conversations_must_be_in_them():
    row = {"chosen": talk("Hi", "A"), "rejected": talk("Hi", "B")}
    table = CHOSEN | {"prompt": "prompt"}

    assert said(read(table, row | {"prompt": "Hi"}).messages) == [("user", "Hi")]
    assert "not among the turns" in reason(table, row | {"prompt": "Bye"})


def test_lists_of_texts_are_the_turns_of_both_speakers():
    table = {
        "prompt": {"field": "prompt", "as": "turns"},
        "answers": [
            {"text": {"field": "response_a", "as": "turns"}},
            {"text": {"field": "response_b", "as": "turns"}},
        ],
    }
    row = {"prompt": '["Hi", "More?"]', "response_a": '["A", "B"]', "response_b": '["A", null]'}

    entry = read(table, row)

    assert said(entry.messages) == said(talk("Hi", "A", "More?"))
    assert texts(entry) == ["B", ""]
    assert "different numbers" in reason(table, row | {"prompt": '["Hi"]'})


def test_the_last_turn_of_a_conversation_is_a_demonstration_or_an_answer():
    row = {"c": [{"from": "gpt", "value": "Hello."}, {"from": "human", "value": "Why?"}]}
    row["c"] += [{"from": "gpt", "value": "So."}]

    shown = read({"conversation": "c"}, row)
    labelled = read({"conversation": "c", "judgment": PERSON | {"label": "ok"}}, row | {"ok": "no"})

    assert said(shown.messages) == [("assistant", "Hello."), ("user", "Why?")]
    assert (shown.demonstration, shown.answers) == ("So.", [])
    assert (texts(labelled), labelled.judgments[0]["ranks"]) == (["So."], None)
    assert "without the assistant's turn" in reason({"conversation": "c"}, {"c": row["c"][:2]})


def test_tool_calls_are_kept_in_their_turns():
    call = {"name": "multiply", "arguments": {"a": 3, "b": 2}}
    turns = [
        {"from": "human", "value": "3 pens at 2 €?"},
        {"from": "function_call", "value": json.dumps(call)},
        {"from": "observation", "value": "6"},
        {"from": "gpt", "value": "<think>6</think>Six euros."},
    ]

    entry = read({"conversation": "c"}, {"c": turns})

    made = entry.messages[1]["tool_calls"][0]["function"]
    assert [turn["role"] for turn in entry.messages] == ["user", "assistant", "tool"]
    assert (made["name"], json.loads(made["arguments"])) == ("multiply", call["arguments"])
    assert entry.demonstration == "<think>6</think>Six euros."
    assert "name and arguments" in reason(
        {"conversation": "c"}, {"c": [turns[0], {"from": "function_call", "value": "?"}, turns[3]]}
    )
    doubled = {"from": "function_call", "value": '{"name": "f", "arguments": {"a": 1, "a": 2}}'}
    assert 'the key "a" is there twice' in reason(
        {"conversation": "c"}, {"c": [turns[0], doubled, turns[3]]}
    )


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image", "text": None, "image": "0003.png"},
        {"image": "0003.png"},
    ],
)
def test_a_row_with_a_picture_is_refused_by_that_name(part):
    content = [{"type": "text", "text": "What is it?"}, part]

    assert reason({"prompt": "m"}, {"m": [{"role": "user", "content": content}]}) == (
        "holds a picture"
    )
    assert reason({"prompt": "p", "pictures": ["images"]}, {"p": "?", "images": ["1.png"]}) == (
        "holds a picture"
    )
    assert read({"prompt": "p", "pictures": ["images"]}, {"p": "?", "images": []})


# Answers


def test_answers_stand_in_columns_a_list_or_lists_side_by_side():
    columns = {"prompt": "p", "answers": [{"text": "x", "model": "m1"}, {"text": "y"}]}
    listed = {"prompt": "p", "answers": {"each": "all", "text": "t", "model": "m"}}
    beside = {"prompt": "p", "answers": {"each": "all", "models": "by"}}

    assert read(columns, {"p": "?", "x": "1", "y": "2", "m1": "alpha"}).answers == [
        {"text": "1", "model": "alpha"},
        {"text": "2", "model": "unknown"},
    ]
    assert read(listed, {"p": "?", "all": [{"t": "1", "m": "alpha"}]}).answers == [
        {"text": "1", "model": "alpha"}
    ]
    assert read(beside, {"p": "?", "all": '["1", ""]', "by": ["alpha", "beta"]}).answers == [
        {"text": "1", "model": "alpha"},
        {"text": "", "model": "beta"},
    ]
    assert "one for each answer" in reason(beside, {"p": "?", "all": ["1", "2"], "by": ["alpha"]})


@pytest.mark.parametrize("empty", [None, "", "absent"])
def test_a_row_that_lacks_an_answer_is_bad_and_no_bare_prompt(empty):
    row = {"prompt": "?", "chosen": "yes", "rejected": empty}
    if empty == "absent":
        del row["rejected"]

    assert reason(CHOSEN | {"prompt": "prompt"}, row) == "rejected is empty"


def test_an_answer_that_may_be_empty_is_left_out():
    table = {"prompt": "p", "answers": ["x", "y", {"text": "z", "optional": True}]}

    assert texts(read(table, {"p": "?", "x": "1", "y": "2"})) == ["1", "2"]
    assert texts(read(table, {"p": "?", "x": "1", "y": "2", "z": "3"})) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"prompt": {"deep": 1}}, "prompt must be a text, or messages, and is an object"),
        ({"prompt": 7}, "prompt must be a text, or messages, and is a number"),
        ({"prompt": []}, "prompt is an empty list"),
        ({"prompt": [["x"]]}, "prompt: a turn must be an object, and is a list"),
        ({"prompt": [{"role": "king", "content": "x"}]}, 'has the role "king", which is none'),
        ({"prompt": None}, "prompt is empty"),
        ("only a text", "a row must be an object, and is a text"),
    ],
)
def test_a_reason_names_the_real_cause(value, fault):
    assert fault in reason({"prompt": "prompt"}, value)


# Winners


ARENA = {"a": ["model_a"], "b": ["model_b"], "tie": ["tie"], "both_bad": ["tie (bothbad)"]}


@pytest.mark.parametrize(
    ("codes", "value", "ranks"),
    [
        (ARENA, "model_a", [1, 2]),
        (ARENA, " Model_B ", [2, 1]),
        (ARENA, "tie", [1, 1]),
        (ARENA, "tie (bothbad)", None),
        (ARENA, "left", 'w is "left", which has no meaning in the mapping'),
        (ARENA, None, "w is missing"),
        ({"a": [1], "b": [0]}, "1.0", [1, 2]),
        ({"a": [1], "b": [0]}, 0, [2, 1]),
        ({"a": [1], "b": [0]}, True, "w is true, which has no meaning in the mapping"),
        ({"a": [0], "b": [1], "tie": [2]}, 2.0, [1, 1]),
        ({"a": [1], "b": [2], "tie": [0, 1.5]}, "1.50", [1, 1]),
        ({"a": [True], "b": [False]}, "TRUE", [1, 2]),
    ],
)
def test_a_winner_is_what_the_table_of_its_codes_says(codes, value, ranks):
    assert judged({"winner": {"field": "w"} | codes}, {"w": value}) == ranks


def test_a_winner_may_be_named_by_its_model_or_its_text():
    answers = [{"text": "a", "model": "ma"}, {"text": "b", "model": "mb"}]
    row = {"ma": "alpha", "mb": "beta"}
    by_model = {"winner": {"field": "w", "by": "model", "tie": ["none"]}}

    assert judged(by_model, row | {"w": "beta"}, answers=answers) == [2, 1]
    assert judged(by_model, row | {"w": "none"}, answers=answers) == [1, 1]
    assert "no meaning" in judged(by_model, row | {"w": "gamma"}, answers=answers)
    assert judged({"winner": {"field": "w", "by": "text"}}, {"w": "one"}) == [1, 2]


@pytest.mark.parametrize(
    ("row", "ranks"),
    [
        ({"wa": 1, "wb": 0, "wt": 0}, [1, 2]),
        ({"wa": "0", "wb": "1", "wt": "0"}, [2, 1]),
        ({"wa": False, "wb": False, "wt": True}, [1, 1]),
        ({"wa": 0, "wb": 0, "wt": 0}, "none of wa, wb, wt is 1"),
        ({"wa": 1, "wb": 1, "wt": 0}, "several of wa, wb, wt is 1"),
        ({"wa": "?", "wb": 1, "wt": 0}, 'wa must be 0 or 1, and is "?"'),
    ],
)
def test_one_of_several_columns_says_who_won(row, ranks):
    assert judged({"one_hot": {"a": "wa", "b": "wb", "tie": "wt"}}, row) == ranks


@pytest.mark.parametrize(
    ("value", "ranks", "strength"),
    [(-3, [1, 2], 3), (-1, [1, 2], 1), (0, [1, 1], 0), ("2", [2, 1], -2), (3.0, [2, 1], -3)],
)
def test_a_signed_strength_is_turned_to_podium_s_sense(value, ranks, strength):
    scale = {"field": "s", "a": -3, "b": 3, "strength": True}
    row = {"prompt": "?", "a": "one", "b": "two", "s": value}

    (made,) = read(PAIR | {"judgment": PERSON | {"scale": scale}}, row).judgments

    assert (made["ranks"], made["strength"]) == (ranks, strength)


@pytest.mark.parametrize(
    ("value", "ranks"),
    [
        (1, [1, 2]),
        (1.49, [1, 2]),
        (1.5, [1, 1]),
        (1.51, [2, 1]),
        (2, [2, 1]),
        (2.5, "s is 2.5, beyond the ends of its scale"),
        (None, "s is missing"),
        ("N/A", 's is "N/A", which is no number'),
    ],
)
def test_a_scale_has_a_side_for_each_answer(value, ranks):
    assert judged({"scale": {"field": "s", "a": 1, "tie": 1.5, "b": 2}}, {"s": value}) == ranks


def test_a_scale_has_a_tolerance_and_no_strength_is_rounded():
    wide = {"scale": {"field": "s", "a": 1, "tie": 1.5, "b": 2}, "tolerance": 0.1}
    likert = {"scale": {"field": "s", "a": 1, "b": 5, "strength": True}}

    assert judged(wide, {"s": 1.42}) == [1, 1]
    assert judged(wide, {"s": 1.38}) == [1, 2]
    assert judged(likert, {"s": 1}) == [1, 2]
    assert "between two strengths" in judged(likert, {"s": 2})


# Scores, ranks, labels

LISTED = {"prompt": "p", "answers": {"each": "all", "text": "t", "score": "s"}}


@pytest.mark.parametrize(
    ("judgment", "scores", "ranks"),
    [
        ({}, [8.5, 3, "9.5", 3.0], [2, 3, 1, 3]),
        ({"better": "lower"}, [8.5, 3, 9.5, 3], [2, 1, 3, 1]),
        ({"tolerance": 1}, [8.5, 3, 9.5, 2.5], [1, 2, 1, 2]),
        # 2 ties with 3, the best of its tie; 1 is too far from 3, be it near 2
        ({"tolerance": 1}, [3, 2, 1], [1, 1, 2]),
    ],
)
def test_scores_make_ranks(judgment, scores, ranks):
    row = {"p": "?", "all": [{"t": str(n), "s": score} for n, score in enumerate(scores)]}

    (made,) = read(LISTED | {"judgment": PERSON | judgment}, row).judgments

    assert made["ranks"] == ranks


@pytest.mark.parametrize("missing", [None, "", float("nan"), "absent"])
def test_an_answer_without_a_score_is_unjudged_only_where_it_may_be(missing):
    row = {"p": "?", "all": [{"t": "x", "s": 1}, {"t": "y", "s": missing}, {"t": "z", "s": 2}]}
    if missing == "absent":
        del row["all"][1]["s"]

    (made,) = read(LISTED | {"judgment": PERSON | {"optional": True}}, row).judgments

    assert (made["ranks"], made["answers"]) == ([2, 1], [0, 2])
    assert reason(LISTED | {"judgment": PERSON}, row) == "the score of answer 2 is missing"
    row["all"] = row["all"][:2]
    assert read(LISTED | {"judgment": PERSON | {"optional": True}}, row).judgments == []


def test_ranks_may_be_floats_with_gaps_in_a_list_of_their_own():
    table = {"prompt": "p", "answers": {"each": "all"}, "judgment": PERSON | {"ranks": "r"}}
    row = {"p": "?", "all": ["x", "y", "z"]}

    assert read(table, row | {"r": [10.0, "30", 10]}).judgments[0]["ranks"] == [1, 2, 1]
    assert "one number for each answer" in reason(table, row | {"r": [1, 2]})
    assert "must hold numbers" in reason(table, row | {"r": [1, 2, True]})


@pytest.mark.parametrize(
    ("label", "ranks"),
    [(True, [1]), ("FALSE", None), ("1", [1]), (0, None), ("Yes", [1]), ("undesirable", None)],
)
def test_a_label_says_whether_the_only_answer_is_good(label, ranks):
    table = {"prompt": "p", "answers": {"text": "c"}, "judgment": PERSON | {"label": "l"}}

    assert read(table, {"p": "?", "c": "x", "l": label}).judgments[0]["ranks"] == ranks


def test_a_label_s_own_codes_replace_the_usual_ones():
    label = {"field": "l", "good": ["👍"], "bad": ["👎"]}
    table = {"prompt": "p", "answers": "c", "judgment": PERSON | {"label": label}}

    assert read(table, {"p": "?", "c": "x", "l": "👎"}).judgments[0]["ranks"] is None
    assert "no meaning" in reason(table, {"p": "?", "c": "x", "l": True})


# Judgments


def test_a_row_may_have_several_judgments_of_several_judges():
    winner = {"a": [1], "b": [2], "tie": [0]}
    table = PAIR | {
        "judgment": [
            {"kind": "person", "name": f"annotator {n}", "winner": winner | {"field": f"by{n}"}}
            for n in (1, 2)
        ]
    }

    made = read(table, {"prompt": "?", "a": "x", "b": "y", "by1": 1, "by2": 0}).judgments

    assert [(one["judge"], one["ranks"]) for one in made] == [
        ("annotator 1", [1, 2]),
        ("annotator 2", [1, 1]),
    ]


def test_judgments_stand_in_a_list_with_all_that_they_say():
    table = {
        "prompt": "p",
        "answers": {"each": "all"},
        "judgment": {
            "each": "by",
            "judge": {"field": "who", "prefix": "set "},
            "kind": {"field": "is", "person": ["expert_*"], "model": ["gpt-4"]},
            "ranks": "r",
            "outcome": "o",
            "seconds": "sec",
            "strength": "st",
            "ratings": "ra",
            "flags": "fl",
        },
    }
    judged = {"who": 7, "is": "expert_1", "r": [2, 1], "o": "ranked", "sec": "3.5", "st": -2}
    judged |= {"ra": [None, 6.0], "fl": [["rude"], None]}
    bad = {"who": "b", "is": "gpt-4", "r": None, "o": "all_bad"}

    first, second = read(table, {"p": "?", "all": ["x", "y"], "by": [judged, bad]}).judgments

    assert first == {
        "judge": "set 7",
        "judge_kind": "person",
        "ranks": [2, 1],
        "seconds": 3.5,
        "strength": -2,
        "ratings": [None, 6],
        "flags": [["rude"], []],
    }
    assert second == {"judge": "set b", "judge_kind": "model", "ranks": None}


def test_a_judgment_of_a_pair_names_its_answers_in_their_order():
    winner = {"field": "w", "a": [1], "b": [2]}
    table = {
        "prompt": "p",
        "answers": ["x", "y", "z"],
        "judgment": PERSON | {"answers": [2, 0], "winner": winner},
    }

    (made,) = read(table, {"p": "?", "x": "1", "y": "2", "z": "3", "w": 1}).judgments

    assert (made["answers"], made["ranks"]) == ([0, 2], [2, 1])


# What is said of the prompt


def test_all_that_is_mapped_about_a_prompt_comes_in():
    table = {
        "prompt": "p",
        "language": "lang",
        "source": "from",
        "split": "fold",
        "author": {"field": "who", "prefix": "set "},
        "licence": {"value": "cc-by-4.0"},
        "time": "at",
        "sensitive": "nsfw",
        "metadata": "more",
        "keep": ["id", "deep.down"],
    }
    row = {"p": "?", "lang": "English", "from": ["x", "y"], "fold": "val", "who": 3}
    row |= {"at": "2025-07-20T08:26:00", "nsfw": "yes", "more": {"k": 1}}
    row |= {"id": "r1", "deep": {"down": [1, 2]}}

    entry = read(table, row)

    assert (entry.language, entry.source, entry.split) == ("en", "x, y", "validation")
    assert (entry.author, entry.licence, entry.sensitive) == ("set 3", "cc-by-4.0", True)
    assert entry.metadata == {
        "k": 1,
        "time": "2025-07-20T08:26:00",
        "id": "r1",
        "deep.down": [1, 2],
    }


def test_what_a_column_can_t_hold_is_kept_as_metadata():
    table = {"prompt": "p", "language": "lang", "source": "from"}

    entry = read(table, {"p": "?", "lang": "Klingon", "from": "x" * 101})

    assert (entry.language, entry.source) == ("", "")
    assert entry.metadata == {"lang": "Klingon", "from": "x" * 101}


def test_a_split_without_meaning_is_a_bad_row():
    suffix = {"field": "d", "train": ["*_train"], "test": ["*_test"]}

    assert read({"prompt": "p", "split": suffix}, {"p": "?", "d": "cooking_test"}).split == "test"
    assert reason({"prompt": "p", "split": "d"}, {"p": "?", "d": "all"}) == (
        'd is "all", which has no meaning in the mapping'
    )


def test_rows_that_only_leaves_behind_are_counted():
    reader = Reader(Mapping.parse({"prompt": "p", "only": {"deleted": [False, ""]}}))
    rows = [Row(n, {"p": str(n), "deleted": n == 2}) for n in (1, 2)] + [Row(3, {"p": "3"})]

    assert [(row.place, len(entries)) for row, entries, _reason in reader.read(rows)] == [
        (1, 1),
        (2, 0),
        (3, 1),
    ]
    assert reader.left_out == {"deleted is true": 1}


def test_a_kind_of_file_that_has_no_place_here_says_so():
    table = {"distinct": ["labels"], "refuse": "labels of steps have no place here"}

    assert reason(table, {"labels": [True]}) == "labels of steps have no place here"


# What could only be lost makes a row bad


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "user", "content": "?", "name": "ann"},
        {"role": "user", "content": "?", "value": "other"},
        {"role": "user", "from": "human", "content": "?"},
        {"from": "function_call", "value": '{"name": "f", "arguments": {}}', "text": "x"},
    ],
)
def test_a_turn_with_more_than_it_can_keep_is_bad(turn):
    assert "besides" in reason({"prompt": "m"}, {"m": [turn]})


def test_metadata_of_two_fields_of_one_name_is_bad():
    table = {"prompt": "p", "metadata": "more", "keep": ["id"], "language": "lang"}

    assert "the metadata 'id'" in reason(table, {"p": "?", "more": {"id": 1}, "id": 2})
    assert "the metadata 'lang'" in reason(table, {"p": "?", "more": {"lang": 1}, "lang": "Orc"})
    assert read(table, {"p": "?", "more": {"id": 1}, "id": 1}).metadata == {"id": 1}


def test_ratings_and_flags_without_a_verdict_are_bad():
    table = {"prompt": "p", "answers": {"each": "all", "text": "t", "score": "s", "flags": "f"}}
    table["judgment"] = PERSON | {"optional": True}
    flagged = {"t": "x", "f": ["rude"]}

    assert "no verdict" in reason(table, {"p": "?", "all": [flagged, {"t": "y", "s": 1}]})
    assert "no verdict" in reason(
        table, {"p": "?", "all": [flagged, {"t": "y", "s": 1}, {"t": "z", "s": 2}]}
    )


def test_an_outcome_beside_another_verdict_is_bad():
    table = {"prompt": "p", "answers": {"each": "all"}}
    table["judgment"] = PERSON | {"ranks": "r", "outcome": "o"}
    row = {"p": "?", "all": ["x", "y"]}

    assert read(table, row | {"r": [], "o": "cannot_judge"}).judgments == [
        {"judge": "imported", "judge_kind": "person", "ranks": None, "outcome": "cannot_judge"}
    ]
    assert "a verdict too" in reason(table, row | {"r": [1, 2], "o": "all_bad"})


# Turns that have a type


def test_turns_with_a_type_are_turns_and_parts_have_no_speaker():
    turns = [
        {"type": "message", "role": "user", "content": "Hi"},
        {"type": "message", "role": "assistant", "content": "Hello."},
    ]
    typed = [turn | {"type": "draft"} for turn in turns]
    parts = [{"type": "text", "text": "Hi"}]

    for form in ("messages", "auto"):
        entry = read({"conversation": {"field": "c", "as": form}}, {"c": turns})
        assert (said(entry.messages), entry.demonstration) == ([("user", "Hi")], "Hello.")
    assert said(read({"prompt": "c"}, {"c": parts}).messages) == [("user", parts)]
    assert "has the role null" in reason({"prompt": {"field": "c", "as": "messages"}}, {"c": parts})
    assert 'has the type "draft"' in reason({"conversation": "c"}, {"c": typed})


def test_the_type_of_a_turn_is_read_as_that_of_a_part_alone():
    assert not Mapping.parse({"prompt": {"field": "c", "as": "messages"}}).reads("c[*].type")
    assert Mapping.parse({"prompt": {"field": "c", "as": "messages"}}).reads("c[*].content[*].type")
    assert Mapping.parse({"prompt": "c"}).reads("c[*].type")


# Answers that may be absent


MAYBE = {"prompt": "p", "answers": ["x", {"text": "y", "optional": True}, "z"]}
THREE = {"field": "w", "a": ["x"], "b": ["y"], "c": ["z"], "tie": ["tie"]}


@pytest.mark.parametrize(
    ("rule", "value", "ranks"),
    [
        ({"winner": THREE}, "z", [2, 1]),
        ({"winner": THREE}, "x", [1, 2]),
        ({"winner": THREE}, "y", "the winner is an answer that is not there"),
        ({"winner": THREE, "answers": [0, 2]}, "y", [2, 1]),
        ({"winner": THREE, "answers": [0, 1]}, "y", "a judgment is of an answer that is not there"),
        ({"one_hot": {"a": "x1", "b": "y1", "c": "w"}}, 1, [2, 1]),
    ],
)
def test_codes_name_columns_also_where_one_of_them_is_empty(rule, value, ranks):
    del_c = {"winner": {k: v for k, v in THREE.items() if k != "c"}} if "answers" in rule else {}
    table = MAYBE | {"judgment": PERSON | rule | del_c}
    row = {"p": "?", "x": "1", "y": "", "z": "3", "w": value}
    if isinstance(ranks, str):
        assert reason(table, row) == ranks
    else:
        assert [judgment["ranks"] for judgment in read(table, row).judgments] == [ranks]


def test_a_verdict_of_one_answer_is_a_bad_row():
    table = {"prompt": "p", "answers": ["x", {"text": "y", "optional": True}]}
    table["judgment"] = PERSON | {"winner": {"field": "w", "a": ["x"], "b": ["y"], "tie": ["t"]}}

    for value in ("t", "x"):
        assert "the others are not there" in reason(table, {"p": "?", "x": "1", "w": value})


def test_a_rating_of_which_no_judgment_says_anything_is_a_bad_row():
    table = {"prompt": "p", "answers": {"each": "all", "text": "t", "rating": "r"}}
    table["judgment"] = PERSON | {"each": "js", "ranks": "ranks"}
    row = {"p": "?", "all": [{"t": "1", "r": 5}, {"t": "2"}]}

    rated = read(table, row | {"js": [{"ranks": [1, 2]}]}).judgments[0]
    assert rated["ratings"] == [5, None]
    assert reason(table, row | {"js": []}) == (
        "an answer has a rating or flags, and no judgment is of it"
    )


def test_a_number_of_turns_and_answers_that_are_texts_are_a_bad_row():
    table = {"prompt": "p", "answers": ["x", "y"], "turns": "t"}

    assert reason(table, {"p": "?", "x": "1", "y": "2", "t": 1}) == (
        "t ends whole conversations, and the answers are none"
    )


def test_few_reasons_of_rows_that_are_not_taken_are_remembered():
    reader = Reader(Mapping.parse({"prompt": "p", "only": {"kind": ["good"]}}))

    assert len(list(reader.read([Row(n, {"p": "?", "kind": f"{n}"}) for n in range(500)]))) == 500
    assert sum(reader.left_out.values()) == 500
    assert len(reader.left_out) <= 21


# Rows of another layout


@pytest.mark.parametrize(
    ("table", "row", "lacking", "strange"),
    [
        (CHOSEN, {"prompt": "?", "output": "!"}, "chosen", "prompt"),
        ({"prompt": "p", "demonstration": "d"}, {"p": "?", "a": "1", "b": "2"}, "d", "a"),
        ({"conversation": "c"}, {"prompt": "?", "answers": ["x"]}, "c", "prompt"),
        ({"prompt": "p", "answers": {"each": "all"}}, {"p": "?", "x": "1"}, "all", "x"),
    ],
)
def test_a_row_of_another_layout_is_bad_and_says_so(table, row, lacking, strange):
    ((_row, entries, why),) = Reader(Mapping.parse(table)).read([Row(1, row)])

    assert entries == []
    assert f"it has no {lacking}, but {strange}. A mapping reads one layout" in why


def test_a_row_that_only_lacks_a_field_is_of_no_other_layout():
    ((_row, _entries, why),) = Reader(Mapping.parse({"prompt": "p", "demonstration": "d"})).read(
        [Row(1, {"p": "?"})]
    )

    assert why == "d is empty"
