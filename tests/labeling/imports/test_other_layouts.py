"""Files in layouts that no preset knows: they come in right, or a person is asked; none is wrong in
silence. What a file of several layouts holds is asked about, too, or makes bad rows.
"""

import json

import pytest

from labeling import imports
from labeling.imports.choice import Choice
from labeling.models import Prompt
from tests.factories import make_project


def talk(*contents):
    return [
        {"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(contents)
    ]


PAIR = {"response_a": "A", "response_b": "B"}
LAYOUTS = {
    "messages of hh": [
        {
            "chosen": talk("Hi", "Hello.", "Why?", "So."),
            "rejected": talk("Hi", "Hello.", "Why?", "No."),
        }
    ],
    "LMSYS pairs": [
        {"conversation_a": talk("Hi", "A"), "conversation_b": talk("Hi", "B"), "model_a": "m"}
        | {"model_b": "n", "winner": winner, "tstamp": 1690000000.5}
        for winner in ("model_a", "model_b", "tie", "tie (bothbad)")
    ],
    "Argilla records": [
        {"id": "r1", "fields": {"prompt": "Why?", "response-1": "A", "response-2": "B"}}
        | {"suggestions": {"preference": {"value": "response-1", "score": 0.9, "agent": "gpt-4"}}}
        | {"responses": {"preference": [{"value": "response-2", "user_id": "u1"}]}}
    ],
    "Argilla on the Hub": [
        {"prompt": "Why?", "generation-1": "A", "generation-2": "B"}
        | {"preference.suggestion": "generation-1", "preference.responses": ["generation-2"]}
        | {"preference.responses.users": ["u1"], "preference.responses.status": ["submitted"]}
    ],
    "Prodigy choice": [
        {"text": "Why?", "options": [{"id": "a", "text": "A"}, {"id": "b", "text": "B"}]}
        | {"accept": ["b"], "answer": "accept", "_annotator_id": "ann", "_timestamp": 1690000000}
    ],
    "doccano": [{"id": 1, "text": "Why?", "label": ["good"], "Comments": ["so"]}],
    "likert": [
        {"task_id": "t", "prompt": "Why?", "response_1": "A", "response_2": "B", "likert": number}
        for number in (-3, 0, 2)
    ],
    "MT-bench, single": [
        {"question_id": 81, "model": "m", "judge": ["gpt-4", "single-v1"], "user_prompt": "[Q]"}
        | {"judgment": "Good. Rating: [[9]]", "score": 9, "turn": 1, "tstamp": 1690000000.1}
    ],
    "Prometheus": [
        {"orig_instruction": "Why?", "orig_response_A": "A", "orig_response_B": "B"}
        | {"orig_score_A": 4, "orig_score_B": 2, "orig_preference": "A", "orig_criteria": "Kind?"}
    ],
    "JudgeLM": [
        {"question_body": "Why?", "answer1_body": "A", "answer2_body": "B", "score": [9.0, 7.0]}
    ],
    "BeaverTails": [
        {"prompt": "Why?", "response": "A", "category": {"violence": True}, "is_safe": False}
    ],
    "Skywork": [{"chosen": talk("Why?", "A"), "rejected": talk("Why?", "B"), "source": "magpie"}],
    "OffsetBias": [
        {"instruction": "Why?", "output_1": "A", "output_2": "B", "label": label, "id": "o"}
        for label in (1, 2)
    ],
    "CodeUltraFeedback": [
        {"instruction": "Why?", "preference": "readability"}
        | {"responses": [{"model": "m", "response": "A"}, {"model": "n", "response": "B"}]}
        | {"annotations": [{"model": "m", "rating": "4"}, {"model": "n", "rating": "2"}]}
    ],
    "Capybara preferences": [
        {"source": "s", "chosen": talk("Why?", "A"), "chosen_rating": 5, "chosen_model": "m"}
        | {"rejected": talk("Why?", "B"), "rejected_rating": 3, "rejected_model": "n"}
    ],
    "three layouts": [
        {"prompt": "Why?", "chosen": "A", "rejected": "B"},
        {"instruction": "Who?", "output": "Me."},
        {"prompt": "Which?", "winner": "a"} | PAIR,
    ],
    "answers in some rows": [
        {"prompt": "Why?"},
        {"prompt": "Who?"},
        {"prompt": "Which?", "chosen": "A", "rejected": "B"},
    ],
}
RIGHT = {"messages of hh"}  # as they are, without a word from a person


def as_file(folder, rows):
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_page_asks_of_each_field_what_it_is_or_reads_it(tmp_path, name):
    path = as_file(tmp_path, LAYOUTS[name])
    recipe = imports.proposed(path)
    listed, found = imports.first_fields(path, recipe.get("mapping") or {})

    choice = Choice(recipe, listed, found)

    reasons = choice.source and [why for _row, _made, why in imports.preview(path, choice.source)]
    asks = bool(choice.fault or choice.unread() or any(reasons or []))
    assert asks == (name not in RIGHT)


@pytest.mark.django_db
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_command_imports_nothing_of_which_a_field_is_not_decided(tmp_path, name):
    path = as_file(tmp_path, LAYOUTS[name])
    format = imports.recognise(path) or "prompts"

    if name in RIGHT:
        tally = imports.import_file(None, make_project(), path, format)
        assert (tally.answers, tally.rankings) == (2, 1)
        return
    with pytest.raises(imports.BadFile):
        imports.import_file(None, make_project(), path, format)
    assert not Prompt.objects.exists()


def mapped(tmp_path, name):
    """(answers, judgments) of the proposed mapping once a person has said who judged."""
    from labeling.imports.mapping import Mapping, Reader

    path = as_file(tmp_path, LAYOUTS[name])
    table = dict(imports.proposed(path)["mapping"])
    table["judgment"] = table["judgment"] | {"kind": "person"}
    read = Reader(Mapping.parse(table)).read(imports.files.rows(path))
    entries = [entry for _row, made, _why in read for entry in made]
    return [([a["text"] for a in e.answers], [j["ranks"] for j in e.judgments]) for e in entries]


def test_pairs_come_in_by_their_proposal_once_it_is_said_who_judged(tmp_path):
    assert mapped(tmp_path, "LMSYS pairs") == [
        (["A", "B"], [ranks]) for ranks in ([1, 2], [2, 1], [1, 1], None)
    ]
    assert mapped(tmp_path, "likert") == [
        (["A", "B"], [ranks]) for ranks in ([1, 2], [1, 1], [2, 1])
    ]
    assert mapped(tmp_path, "OffsetBias") == [(["A", "B"], [ranks]) for ranks in ([1, 2], [2, 1])]
    assert mapped(tmp_path, "Skywork") == [(["A", "B"], [[1, 2]])]


def test_an_answer_with_a_label_of_yes_or_no_is_no_silent_demonstration(tmp_path):
    path = as_file(tmp_path, LAYOUTS["BeaverTails"])
    recipe = imports.proposed(path)
    choice = Choice(recipe, *imports.first_fields(path, recipe.get("mapping") or {}))

    assert [field.path for field in choice.unread()] == ["category", "is_safe"]
