"""What a row says is read, or makes it a bad row with its reason, or is counted: in each format."""

import json

import pytest

from labeling import imports
from labeling.exports.examples import View
from labeling.exports.formats import label_studio
from labeling.imports.formats import FORMATS
from labeling.imports.forms import COUNTED, LABELS
from labeling.models import RankingTask
from labeling.text import conversations
from labeling.text.conversations import BadPrompt
from tests.factories import TOOL_TURNS

ASKED = [{"role": "user", "content": "Sky?"}]
SAID = [{"role": "assistant", "content": "blue"}]
OURS = {"dataset": "d" * 64, "prompt_id": "p", "split": "test"}


def entries(format, row, file="rows.jsonl"):
    return list(FORMATS[format].read(row, file))


def why_bad(format, row):
    with pytest.raises(BadPrompt) as refused:
        entries(format, row)
    return str(refused.value)


def bring(tmp_path, project, format, *rows, **settings):
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return imports.import_file(None, project, file, format, near=False, prefixes=False, **settings)


# TRL's rows, which others write too

TRL = {
    "prompt-only": {"prompt": ASKED},
    "prompt-completion": {"prompt": ASKED, "completion": SAID},
    "listwise": {
        "prompt": ASKED,
        "completions": ["blue", "green"],
        "ranks": [1, 2],
        "outcome": "ranked",
    },
}


@pytest.mark.parametrize("format", TRL)
def test_what_others_say_of_a_prompt_is_read(format):
    about = {"split": "val", "use_case": "open qa", "language": "en"}

    [entry] = entries(format, TRL[format] | about)

    assert (entry.split, entry.use_case, entry.language) == ("validation", "open qa", "en")


@pytest.mark.parametrize("format", TRL)
def test_other_fields_of_others_are_kept_as_metadata(format):
    foreign = {"dataset": "ultrachat", "prompt_id": "u7", "agreement": 0.5, "split": "train"}
    judged = {"labeler": "ann", "kind": "person", "seconds": 2.5, "weight": 2, "strength": -1}
    beside = {} if format == "listwise" else judged

    [entry] = entries(format, TRL[format] | foreign | judged)

    del foreign["split"]
    assert entry.metadata == foreign | beside


def test_a_download_has_no_metadata_of_others():
    [entry] = entries("prompt-completion", TRL["prompt-completion"] | OURS | {"labeler": 3})
    assert (entry.metadata, entry.split) == ({}, "test")


@pytest.mark.parametrize(
    ("said", "judge", "kind"),
    [
        ({}, "mine", None),
        ({"labeler": "ann"}, "ann", None),
        ({"labeler": 3}, "mine labeler 3", None),
        ({"labeler": 0}, "mine labeler 0", None),
        ({"labeler": "gpt-4", "kind": "model"}, "gpt-4", "model"),
        ({"labeler": "ann", "kind": "adjudicated"}, "ann", "person"),
        (OURS | {"labeler": 3, "kind": "labeler"}, "dataset dddddddddddd labeler 3", "person"),
        (OURS | {"labeler": None}, "dataset dddddddddddd consensus", "script"),
    ],
)
def test_a_whole_ranking_is_by_the_judge_that_it_names(said, judge, kind):
    [entry] = entries("listwise", TRL["listwise"] | said, "mine.jsonl")

    [judgment] = entry.judgments
    assert (judgment["judge"], judgment.get("judge_kind")) == (judge, kind)


@pytest.mark.parametrize(
    ("format", "said", "reason"),
    [
        ("listwise", {"kind": "expert"}, 'not "expert"'),
        ("listwise", {"labeler": ["ann"]}, "labeler must be a text, not a list"),
        ("listwise", {"seconds": True}, "seconds must be a number"),
        ("listwise", {"split": "all"}, "split must be train, validation or test"),
        ("listwise", OURS | {"split": "all"}, "split must be train, validation or test"),
        ("prompt-only", {"language": "English (US)"}, "language has 12 characters"),
        ("prompt-completion", {"completion": ""}, "completion is empty"),
        ("prompt-completion", {"text": "blue"}, "a completion or a text, not both"),
        (
            "prompt-completion",
            {"completion": [{"role": "assistant", "content": ""}]},
            "completion is empty",
        ),
    ],
)
def test_what_such_a_row_can_not_mean_makes_it_bad(format, said, reason):
    assert reason in why_bad(format, TRL[format] | said)


# Label Studio


def item(name, **fields):
    return {"id": name, "body": f"answer {name}"} | fields


def studio_task(*annotations, items="abc", **data):
    items = [item(name) for name in items] if isinstance(items, str) else items
    return {"data": {"prompt": "Sky?", "items": items} | data, "annotations": list(annotations)}


def annotation(*rankers, who=4, **fields):
    result = [
        {"from_name": f"control {n}", "value": {"ranker": ranker}}
        for n, ranker in enumerate(rankers)
    ]
    return {"completed_by": who, "result": result} | fields


def texts(entry):
    return [answer["text"] for answer in entry.answers]


def test_answers_that_nobody_placed_are_answers_without_a_judgment():
    placed, unplaced = entries(
        "label-studio", studio_task(annotation({"1": ["b"], "2": ["a"], "_": ["c"]}), topic="sky")
    )

    assert (texts(placed), placed.judgments[0]["ranks"]) == (["answer a", "answer b"], [2, 1])
    assert (texts(unplaced), unplaced.judgments) == (["answer c"], [])
    assert placed.messages == unplaced.messages
    assert placed.metadata == unplaced.metadata == {"topic": "sky"}


@pytest.mark.django_db
def test_unplaced_answers_wait_for_a_ranking_in_the_project(tmp_path, project):
    task = studio_task(annotation({"1": ["a"], "2": ["b"]}), items="abcd")
    tally = bring(tmp_path, project, "label-studio", task)
    again = bring(tmp_path, project, "label-studio", task)

    waiting = RankingTask.objects.get(free_places__gt=0)
    assert sorted(answer.text for answer in waiting.candidates.all()) == ["answer c", "answer d"]
    assert (tally.answers, tally.rankings, tally.prompts) == (4, 1, 1)
    assert (again.answers, again.known) == (0, 2)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (studio_task(items=[item("a"), item("a", body="other")]), 'two answers have the id "a"'),
        (studio_task(items=[item("1"), item(1, body="other")]), 'two answers have the id "1"'),
        (
            studio_task(annotation({"1": ["a"]}, {"1": ["b"]})),
            "several rankings (control 0, control 1)",
        ),
        (studio_task(annotation({"1": ["a"], "2": ["b", "a"]})), 'places the answer "a" twice'),
        (studio_task(annotation(["a", "b", "a"])), 'places the answer "a" twice'),
        (studio_task(annotation("a")), "must be a list, or buckets, not a text"),
        (studio_task(annotation({"1": "ab"})), 'the bucket "1" must be a list, not a text'),
        (studio_task(annotation(["z"])), "the answer z is ranked, but not there"),
        (studio_task(annotation(["a"], who="w" * 201)), "at most 200 characters"),
    ],
)
def test_what_would_merge_or_vanish_makes_a_task_bad(task, reason):
    assert reason in why_bad("label-studio", task)


def test_what_stands_beside_an_answer_is_counted():
    items = [item("a", title="First"), item("b", title="b", html=""), item("c", text="<c>")]
    [entry] = entries("label-studio", studio_task(annotation(["a", "b", "c"]), items=items))

    assert texts(entry) == ["answer a", "answer b", "answer c"]
    assert entry.ignored == {"titles": "First\n<c>"}


def test_an_empty_answer_of_label_studio_is_an_answer():
    items = [{"id": "a", "body": ""}, item("b")]
    [entry] = entries("label-studio", studio_task(annotation(["b", "a"]), items=items))
    assert texts(entry) == ["", "answer b"]


def test_skipped_annotations_and_names_of_buckets_are_counted():
    [entry] = entries(
        "label-studio",
        studio_task(
            annotation({"good": ["a"], "bad": ["b", "c"]}),
            annotation(["c", "b", "a"], who=5, was_cancelled=True),
            annotation(who=6, was_cancelled=True),
        ),
    )

    assert [judgment["ranks"] for judgment in entry.judgments] == [[1, 2, 2]]
    assert entry.ignored == {"skipped": "label-studio 5", "buckets": "good, bad"}


@pytest.mark.parametrize("placed", [["a", "b"], {"rank": ["a", "b"]}, {"1": ["a"], "2": ["b"]}])
def test_nothing_is_counted_where_nothing_stays_behind(placed):
    [entry] = entries("label-studio", studio_task(annotation(placed), items="ab"))
    assert entry.ignored == {}


def test_the_seconds_of_an_annotation_are_not_rounded():
    task = studio_task(annotation(["a", "b"], lead_time=12.3456), items="ab")
    [entry] = entries("label-studio", task)
    assert entry.judgments[0]["seconds"] == 12.3456


@pytest.mark.parametrize(
    ("prompt", "kept"),
    [("Rate these.", {"prompt": "Rate these."}), ("Sky?", {}), ("\n\nHuman: Sky?", {})],
)
def test_a_prompt_beside_messages_is_kept_unless_they_say_it(prompt, kept):
    task = studio_task(annotation(["a", "b"]), items="ab", messages=ASKED, prompt=prompt)
    [entry] = entries("label-studio", task)
    assert (entry.messages, entry.metadata) == (ASKED, kept)


@pytest.mark.parametrize("messages", [ASKED, TOOL_TURNS])
def test_a_download_for_label_studio_keeps_no_prompt_twice(messages):
    answers = [{"id": place, "text": text, "model": "m"} for place, text in enumerate("ab")]
    judgment = {"outcome": "ranked", "ranks": [2, 1], "seconds": 1.5}
    row = {"messages": messages, "answers": answers, "judgments": [judgment]}
    [task] = label_studio(row, View(), "d" * 64)

    [entry] = entries("label-studio", task)

    assert (entry.messages, entry.metadata, entry.ignored) == (messages, {}, {})


# Argilla


def record(*responses, **fields):
    fields = {"prompt": "Sky?", "a": "blue", "b": "green", "c": "red"} | fields
    return {"fields": fields, "responses": {"rank": list(responses)}}


def response(*names, status="submitted", **ranks):
    ranks = {name: rank for rank, name in enumerate(names, start=1)} | ranks
    value = [{"value": name, "rank": rank} for name, rank in ranks.items()]
    return {"user_id": "u1", "status": status, "value": value}


def test_a_value_without_a_rank_is_an_answer_without_a_judgment():
    placed, unplaced = entries("argilla", record(response("b", "a", c=None)))

    assert (texts(placed), placed.judgments[0]["ranks"]) == (["blue", "green"], [2, 1])
    assert (texts(unplaced), unplaced.judgments, unplaced.metadata) == (["red"], [], {})


def test_responses_that_were_not_sent_are_counted():
    draft = response("b", "a", status="draft") | {"user_id": "u2"}
    empty = {"user_id": "u3", "status": "discarded", "value": None}

    [entry] = entries("argilla", record(response("a", "b", "c"), draft, empty))

    assert len(entry.judgments) == 1
    assert entry.ignored == {"skipped": "argilla u2"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            record(response("a", "b"))
            | {"responses": {"help": [response("a", "b")], "harm": [response("b", "a")]}},
            "several questions have rankings (help, harm)",
        ),
        (record(response("a") | {"value": ["a", "b", "a"]}), "ranks an answer twice"),
        (record(response("a") | {"value": ["a", {"value": "b"}]}), "or of a value and a rank"),
        (record(response("a") | {"value": [{"value": "b"}]}), "or of a value and a rank"),
        (record(response("a") | {"value": [1, 2]}), "or of a value and a rank"),
        (
            record(response("a", "b"), a=[*ASKED, *SAID], prompt="Sea?"),
            "begins with other turns than the prompt",
        ),
        (record(response("a", "b"), a=ASKED * 2), "must begin with the assistant's turn"),
    ],
)
def test_what_would_merge_or_vanish_makes_a_record_bad(row, reason):
    assert reason in why_bad("argilla", row)


CALL = {"type": "function", "function": {"name": "look", "arguments": "{}"}}
CALLED = [
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "blue"},
]


@pytest.mark.parametrize("chat", [[*ASKED, *CALLED, *SAID], [*CALLED, *SAID]])
def test_all_turns_of_an_answer_are_kept(chat):
    [entry] = entries("argilla", record(response("a", "b"), a=chat, c=""))
    assert entry.answers[0]["messages"] == [*CALLED, *SAID]


def test_the_turn_of_a_chat_may_be_an_answer_whoever_speaks():
    chats = {"a": [*ASKED, *SAID], "b": [{"role": "user", "content": "green"}]}
    [entry] = entries("argilla", record(response("a", "b"), c="", **chats))
    assert texts(entry) == ["blue", "green"]


# Summaries


SUMMARIES = {"summaries": [{"text": " a", "policy": "p"}, {"text": " b"}], "choice": 0}


def test_what_is_known_of_an_article_is_kept_as_metadata():
    [entry] = entries(
        "summarize-from-feedback", SUMMARIES | {"info": {"article": "News.", "title": "T"}}
    )
    assert entry.messages[0]["content"] == "Article: News.\n\nTL;DR:"
    assert entry.metadata == {"title": "T"}


@pytest.mark.parametrize(
    ("named", "split"),
    [("train", "train"), ("valid1", "validation"), ("valid2", "validation"), ("test", "test")],
)
def test_the_splits_of_the_summaries(named, split):
    row = SUMMARIES | {"info": {"post": "A post."}, "split": named}
    [entry] = entries("summarize-from-feedback", row)
    assert entry.split == split


def test_an_unknown_split_of_summaries_is_not_guessed():
    row = SUMMARIES | {"info": {"post": "A post."}, "split": "other"}
    assert "split must be train, validation or test" in why_bad("summarize-from-feedback", row)


@pytest.mark.parametrize("path", ["extra.confidence", "summaries[*].note"])
def test_what_workers_noted_is_asked_about(path):
    format = FORMATS["summarize-from-feedback"]
    assert not format.reads(path)
    assert not format.leaves(path)


# Prompts


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"answer_1": "a", "rank_2": 1}, "there is a rank_2 without an answer_2"),
        ({"answer_1": "a", "model_2": "m"}, "there is a model_2 without an answer_2"),
        ({"rank_1": 1}, "there is a rank_1 without an answer_1"),
        ({"answer_01": "a", "rank_1": 1}, "there is a rank_1 without an answer_1"),
        ({"answers": ["a", "b"], "answer_1": "c"}, "not both"),
        ({"answers": ["a", "b"], "rank_1": 1}, "there is a rank_1 without an answer_1"),
        ({"judge_kind": "alien"}, "judge_kind must be one of"),
    ],
)
def test_columns_that_belong_to_no_answer_make_a_row_bad(row, reason):
    assert reason in why_bad("prompts", {"prompt": "Sky?"} | row)


def test_columns_may_be_numbered_with_zeros_and_left_empty():
    row = {"prompt": "Sky?", "answer_02": "green", "rank_02": "2", "model_02": "m"}
    row |= {"answer_01": "blue", "rank_01": "1", "answer_10": "", "rank_10": "3"}
    row |= {"answer_3": None, "model_3": None, "rank_3": "", "answers": []}

    [entry] = entries("prompts", row)

    assert [(answer["text"], answer["model"]) for answer in entry.answers] == [
        ("blue", "unknown"),
        ("green", "m"),
        ("", "unknown"),
    ]
    assert entry.judgments[0]["ranks"] == [1, 2, 3]


def test_the_judge_of_a_row_without_its_judgment_is_counted():
    row = {"prompt": "Sky?", "labeler": "ann", "judge_kind": "person"}
    ranked = [{"text": "a", "rank": 1}, {"text": "b", "rank": 2}]

    assert entries("prompts", row)[0].ignored == {"judges": "ann, person"}
    assert entries("prompts", row | {"answers": ranked})[0].ignored == {}
    assert entries("prompts", {"prompt": "Sky?"})[0].ignored == {}


# Turns, and JSON texts


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
@pytest.mark.parametrize("name", ["name", "tool_call_id"])
def test_a_name_of_a_turn_that_can_have_none_makes_a_row_bad(role, name):
    turn = {"role": role, "content": "Hi", name: "ann"}
    bare = {"role": role, "content": "Hi", name: None}

    reason = f'only a turn of a tool has a {name}, not one of {role}: "ann"'
    assert why_bad("prompts", {"messages": [turn, *ASKED]}) == reason
    assert entries("prompts", {"messages": [bare, *ASKED]})[0].messages[1:] == ASKED


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "a": 2}', 'the key "a" is there twice'),
        ('{"b": [{"a": 1, "a": 1}]}', 'the key "a" is there twice'),
        ('{"a": 0.12345678901234567890123}', "has more digits than can be stored"),
        ('{"a": 12345678901234567890.5}', "has more digits than can be stored"),
        ('{"a": 1e999}', "finite numbers"),
        ('{"a": NaN}', "finite numbers"),
        ('{"a": 123456789012345678901234567890}', "at most 64 bits"),
        ('{"a": ' + "1" * 5000 + "}", "not JSON"),
        ("{'a': 1}", "not JSON"),
    ],
)
def test_json_text_that_would_not_be_kept_whole_makes_a_row_bad(text, reason):
    call = {"type": "function", "function": {"name": "look", "arguments": text}}
    asked = [{"role": "assistant", "content": "", "tool_calls": [call]}, *ASKED]

    assert reason in why_bad("prompts", {"prompt": "Sky?", "metadata": text})
    assert reason in why_bad("prompts", {"messages": asked})


def test_scores_as_json_text_have_no_key_twice():
    judgment = {"labeler": 0, "kind": "labeler", "outcome": "ranked", "ranks": [1]}
    answers = [{"id": 0, "text": "blue", "model": "m"}]
    row = {"prompt_id": "p", "messages": ASKED, "split": "train", "use_case": "", "language": ""}
    row |= {"answers": answers, "judgments": [judgment | {"scores": '{"tone": 1, "tone": 2}'}]}

    assert 'the key "tone" is there twice' in why_bad("rows", row)


@pytest.mark.parametrize("number", ["0.1", "1.50", "0.50000000000000000000", "0.10000000000000001"])
def test_decimals_that_a_number_keeps_come_in(number):
    metadata = conversations.metadata(f'{{"a": {number}}}')
    assert metadata == {"a": float(number)}


# Trees


def message(text, *replies, role="assistant", **fields):
    return {"role": role, "text": text, "replies": list(replies)} | fields


def tree(*replies, **fields):
    root = message("Sky?", *replies, role="prompter")
    return {"message_tree_id": "t", "prompt": root} | fields


RANKED = (message("blue", rank=0), message("green", rank=1))


def test_messages_of_a_tree_that_are_in_no_ranking_are_counted():
    under_empty = message("", message("Why?", *map(dict, RANKED), role="prompter"), rank=2)
    alone = message("Sea?", message("deep", rank=0), role="prompter")

    [entry] = entries(
        "open-assistant",
        tree(*RANKED, under_empty, message("unranked"), message("red", alone, rank=3)),
    )

    assert texts(entry) == ["blue", "green", "", "red"]
    assert entry.ignored == {"unranked": "Why?\nblue\ngreen\nunranked\nSea?\ndeep"}


def test_nothing_of_a_tree_is_counted_where_all_of_it_comes_in():
    deeper = message("Why?", message("so", rank=0), message("no", rank=1), role="prompter")
    first, second = entries("open-assistant", tree(message("blue", deeper, rank=0), RANKED[1]))

    assert (first.ignored, second.ignored) == ({}, {})
    assert [turn["content"] for turn in second.messages] == ["Sky?", "blue", "Why?"]


def test_a_rank_that_is_in_no_list_is_counted_though_the_message_comes_in():
    deeper = message("Why?", *RANKED, role="prompter", rank=0)
    alone = message("red", deeper, rank=0)

    [entry] = entries("open-assistant", tree(alone))

    assert [turn["content"] for turn in entry.messages] == ["Sky?", "red", "Why?"]
    assert entry.ignored == {"unranked": "red\nWhy?"}


def test_languages_of_other_messages_of_a_tree_are_kept():
    replies = (message("bleu", rank=0, lang="fr"), message("blue", rank=1, lang="en"))
    root = message("Sky?", *replies, role="prompter", lang="en")

    [entry] = entries("open-assistant", {"prompt": root})

    assert (entry.language, entry.metadata) == ("en", {"other languages": ["fr"]})


def test_a_tree_may_name_its_split():
    [entry] = entries("open-assistant", tree(*RANKED, split="dev"))
    assert entry.split == "validation"


@pytest.mark.django_db
def test_a_tree_without_a_ranking_is_counted(tmp_path, project):
    rows = [tree(*RANKED), tree(message("alone", rank=0)), tree()]
    tally = bring(tmp_path, project, "open-assistant", *rows)

    assert (tally.rows, tally.bad, tally.prompts) == (3, 0, 1)
    assert tally.cleaned == {"only": 2}
    [left_out] = tally.examples["only"]
    assert left_out["before"] == "no message of the tree has two ranked replies"


# Whatever is counted is shown


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("format", "row", "counted"),
    [
        ("label-studio", studio_task(annotation({"good": ["a"], "bad": ["b", "c"]})), "buckets"),
        (
            "label-studio",
            studio_task(annotation(["a", "b"]), items=[item("a", title="T"), item("b")]),
            "titles",
        ),
        ("argilla", record(response("a", "b", "c"), response("a", status="draft")), "skipped"),
        ("prompts", {"prompt": "Sky?", "labeler": "ann"}, "judges"),
        ("open-assistant", tree(*RANKED, message("red")), "unranked"),
    ],
)
def test_what_a_format_leaves_behind_is_counted_with_an_example(
    tmp_path, project, format, row, counted
):
    tally = bring(tmp_path, project, format, row, languages=False)

    assert tally.cleaned == {counted: 1}
    assert tally.examples[counted][0]["before"]
    assert counted in LABELS
    assert counted in COUNTED
