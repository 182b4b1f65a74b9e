"""Prompts through the API: added by the thousand, found again, with what models answered."""

import pytest

from labeling.models import Demonstration, Prompt, Ranking, RankingTask
from modelops.models import Job
from tests.factories import (
    ANSWER_TEXT,
    ANSWER_TURNS,
    TOOL_TURNS,
    make_person,
    make_project,
    make_prompt,
    make_task,
)
from tests.labeling.api.hands import fields_of

pytestmark = pytest.mark.django_db

PLAIN = {"near": False, "prefixes": False, "languages": False}


@pytest.fixture
def researcher(hands_of, project):
    return hands_of(make_person(project, "researcher", "rita"))


def test_prompts_are_added_and_what_is_refused_is_told_with_its_place(admin):
    rows = [
        {
            "prompt": "What is a podium?",
            "use_case": "chat",
            "language": "en",
            "source": "ours",
            "split": "test",
        },
        {
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello"},
            ]
        },
        {"prompt": "What is a podium?"},
        {"prompt": ""},
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Sing."},
            ]
        },
    ]
    response = admin.post("prompts", {"prompts": rows})
    told = response.json()

    assert response.status_code == 201
    assert (told["added"], told["known"]) == (2, 1)
    assert [one["row"] for one in told["refused"]] == [1, 3]
    assert "last turn must be the user's" in told["refused"][0]["detail"]
    first = Prompt.objects.order_by("pk").first()
    assert (first.use_case, first.language, first.source, first.split) == (
        "chat",
        "en",
        "ours",
        "test",
    )
    assert Prompt.objects.filter(published=True).count() == 2


def test_turns_of_tools_and_parts_come_in_and_are_given_back(admin):
    told = admin.post("prompts", {"prompts": [{"messages": TOOL_TURNS}]}).json()
    [prompt] = admin.get("prompts").json()["results"]

    assert (told["added"], told["refused"]) == (1, [])
    assert prompt["messages"] == TOOL_TURNS
    assert Prompt.objects.get().last_turn == '{"celsius": 31}'


def test_metadata_and_licence_are_kept_and_given_back(admin):
    about = {"id": 7, "tags": ["x"], "deep": {"é": None}}
    rows = [
        {"prompt": "What?", "metadata": about, "licence": "cc-by-4.0"},
        {"prompt": "Why?"},
        {"prompt": "How?", "metadata": [1]},
        {"prompt": "Who?", "licence": "x" * 101},
    ]
    told = admin.post("prompts", {"prompts": rows}).json()
    by_text = {one["messages"][0]["content"]: one for one in admin.get("prompts").json()["results"]}

    assert [one["row"] for one in told["refused"]] == [2, 3]
    assert (by_text["What?"]["metadata"], by_text["What?"]["licence"]) == (about, "cc-by-4.0")
    assert (by_text["Why?"]["metadata"], by_text["Why?"]["licence"]) == (None, "")
    assert len(admin.get("prompts", licence="cc-by-4.0").json()["results"]) == 1


def test_other_metadata_of_a_prompt_that_is_here_are_left_out_and_counted(admin):
    answers = [{"text": "a", "rank": 1}, {"text": "b", "rank": 2}]
    first = [{"prompt": "What?", "metadata": {"id": 1}}]
    admin.post("prompts", {"prompts": first})
    rows = [
        *first,
        {"prompt": "What?", "metadata": {"id": 2}},
        {"prompt": "What?", "licence": "mit", "answers": answers},
        {"prompt": "What?"},
        {"prompt": "New?", "metadata": {"id": 3}},
        {"prompt": "New?", "metadata": {"id": 4}},
        {"prompt": "New?", "metadata": {"id": 3}, "answers": answers},
    ]
    told = admin.post("prompts", {"prompts": rows}).json()

    assert told["cleaned"] == {"metadata": 3}
    assert dict(Prompt.objects.values_list("messages__0__content", "metadata")) == {
        "What?": {"id": 1},
        "New?": {"id": 3},
    }


def test_answers_of_several_turns_come_in_and_are_given_back(admin):
    answers = [{"messages": ANSWER_TURNS, "rank": 1}, {"text": "31.", "rank": 2}]
    told = admin.post("prompts", {"prompts": [{"prompt": "How warm?", "answers": answers}]})
    several, text = sorted(admin.get("candidates").json()["results"], key=lambda one: one["slot"])

    assert (told.json()["answers"], told.json()["refused"]) == (2, [])
    assert (several["messages"], several["text"]) == (ANSWER_TURNS, ANSWER_TEXT)
    assert (text["messages"], text["text"]) == (None, "31.")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"text": "a", "messages": ANSWER_TURNS}, "not both"),
        ({"messages": TOOL_TURNS}, "begin with the assistant's"),
        ({"messages": []}, "a text, or a list of turns"),
    ],
)
def test_an_answer_that_is_none_is_refused(admin, answer, why):
    told = admin.post("prompts", {"prompts": [{"prompt": "How?", "answers": [answer]}]}).json()

    assert why in told["refused"][0]["detail"]


@pytest.mark.parametrize(
    ("words", "count"), [("how warm", 1), ("roma", 1), ("celsius", 1), ("humid", 0)]
)
def test_prompts_are_found_by_words_in_parts_calls_and_results(admin, project, words, count):
    make_prompt(project, messages=TOOL_TURNS)

    assert len(admin.get("prompts", search=words).json()["results"]) == count


def test_a_picture_is_refused_by_name_and_an_unknown_name_of_a_turn_too(admin):
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    rows = [{"messages": [{"role": "user", "content": [picture]}]}]
    told = admin.post("prompts", {"prompts": rows}).json()
    strange = [{"messages": [{"role": "user", "content": "Hi", "function_call": {}}]}]

    assert told["refused"][0]["detail"] == "holds a picture"
    assert admin.post("prompts", {"prompts": strange}).status_code == 400


def test_the_same_prompts_twice_add_nothing(admin):
    rows = {"prompts": [{"prompt": f"Question {number}?"} for number in range(3)]}
    admin.post("prompts", rows)
    again = admin.post("prompts", rows).json()

    assert (again["added"], again["known"]) == (0, 3)


def test_a_request_that_arrives_twice_is_answered_once(admin):
    rows = {"prompts": [{"prompt": "Question?"}]}
    first, again = (admin.post("prompts", rows, key="one") for _ in range(2))

    assert first.json() == again.json()
    assert first.json()["added"] == 1
    assert again["Idempotent-Replayed"] == "true"
    assert Job.objects.count() == 1


def test_prompts_are_cleaned_as_in_an_import(admin):
    rows = [{"prompt": " Mail me at ann@example.org \u200bplease ", "split": "train"}]
    told = admin.post("prompts", {"prompts": rows}).json()

    assert "ann@" not in Prompt.objects.get().last_turn
    assert told["cleaned"] == {"controls": 1, "spaces": 1, "personal": 1}


def test_each_step_of_the_cleaning_can_be_switched_off(admin):
    rows = [{"prompt": " Mail me at ann@example.org ", "split": "train"}]
    off = dict.fromkeys(["repair", "controls", "spaces", "personal"], False)
    told = admin.post("prompts", {"prompts": rows, "cleaning": off}).json()

    assert Prompt.objects.get().last_turn == " Mail me at ann@example.org "
    assert told["cleaned"] == {}


def test_answers_and_ranks_come_in_with_their_prompts(admin):
    answers = [
        {"text": "Yes.", "model": "one", "rank": 1},
        {"text": "No.", "model": "two", "rank": 2},
    ]
    told = admin.post("prompts", {"prompts": [{"prompt": "Is it?", "answers": answers}]}).json()

    assert (told["added"], told["answers"], told["rankings"]) == (1, 2, 1)
    assert Ranking.objects.get().kind == "imported"


def test_split_of_those_that_name_none(admin):
    admin.post("prompts", {"prompts": [{"prompt": "Is it?"}], "split": "validation"})

    assert Prompt.objects.get().split == "validation"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "prompts"),
        ({"prompts": []}, "prompts"),
        ({"prompts": "all"}, "prompts"),
        ({"prompts": ["a"]}, "prompts.0"),
    ],
)
def test_what_holds_no_prompts_is_refused(admin, body, field):
    response = admin.post("prompts", body)

    assert (response.status_code, fields_of(response)) == (400, {field})


def test_more_than_a_request_may_hold_is_refused(admin):
    response = admin.post("prompts", {"prompts": [{"prompt": "?"}] * 10_001})

    assert fields_of(response) == {"prompts"}
    assert not Prompt.objects.exists()


def test_many_prompts_come_in_batches_and_all_at_once(admin, django_assert_max_num_queries):
    rows = [{"prompt": f"Question {number}?"} for number in range(1200)]
    with django_assert_max_num_queries(120):
        told = admin.post("prompts", {"prompts": rows, "cleaning": PLAIN}).json()

    assert told["added"] == 1200
    assert set(Prompt.objects.values_list("published", flat=True)) == {True}


def test_prompts_are_chosen_by_what_they_are(researcher, project):
    chosen = make_prompt(
        project, "用中文回答", use_case="chat", language="zh", source="ours", split="test"
    )
    make_prompt(project)
    asked = [
        {"split": "test"},
        {"use_case": "chat"},
        {"language": "zh"},
        {"source": "ours"},
        {"search": "中文"},
    ]
    for one in asked:
        found = researcher.get("prompts", **one).json()["results"]
        assert [prompt["id"] for prompt in found] == [chosen.pk], one


def test_prompts_are_chosen_by_the_state_of_their_tasks(researcher, project):
    make_task(project)
    aside = make_task(project)
    RankingTask.objects.filter(pk=aside.pk).update(state="set_aside", sort_key=None)

    assert [
        one["id"] for one in researcher.get("prompts", state="set_aside").json()["results"]
    ] == [aside.prompt_id]
    assert researcher.get("prompts", state="odd").status_code == 400


def test_a_prompt_is_shown_with_its_answers(researcher, project):
    task = make_task(project, texts=["yes", "no"])
    shown = researcher.get(f"prompts/{task.prompt_id}").json()
    answers = researcher.get(f"prompts/{task.prompt_id}/candidates").json()["results"]

    assert (shown["answers"], shown["messages"]) == (2, task.prompt.messages)
    assert [one["text"] for one in answers] == ["yes", "no"]
    assert answers[0]["model_version"] == task.job.model_version_id


def test_candidates_are_chosen_by_prompt_version_and_job(researcher, project):
    task, _other = make_task(project), make_task(project)
    one = task.candidates.first()
    for asked in (
        {"prompt": one.prompt_id},
        {"model_version": one.model_version_id},
        {"job": one.job_id},
    ):
        found = researcher.get("candidates", **asked).json()["results"]
        assert {answer["prompt"] for answer in found} == {task.prompt_id}
    assert researcher.get("candidates", ranked="false").json()["results"] == []


def test_pages_follow_one_another_without_a_gap(researcher, project):
    made = [make_prompt(project).pk for _ in range(5)]
    first = researcher.get("prompts", limit=3).json()
    rest = researcher.client.get(first["next"]).json()

    assert [one["id"] for one in first["results"] + rest["results"]] == made[::-1]
    assert rest["next"] is None


def test_another_project_s_prompts_are_not_found(researcher, project):
    elsewhere = make_prompt(make_project())

    assert researcher.get(f"prompts/{elsewhere.pk}").status_code == 404
    assert researcher.get("prompts").json()["results"] == []


def test_only_admins_add_prompts(researcher, labeler):
    for hands in (researcher, labeler):
        assert hands.post("prompts", {"prompts": [{"prompt": "Is it?"}]}).status_code == 403


def test_lists_take_the_same_queries_for_one_and_for_many(
    researcher, project, django_assert_num_queries
):
    def look():
        for path, count in (("prompts", 4), ("candidates", 4), ("tasks", 6), ("demonstrations", 4)):
            researcher.get(path)
            with django_assert_num_queries(count):
                researcher.get(path)

    for many in (1, 4):
        for _ in range(many):
            task = make_task(project)
            Demonstration.objects.create(prompt=task.prompt, text="so")
        look()


def test_a_prompt_is_marked_by_whoever_has_seen_it(admin, project):
    at = f"/api/v1/projects/demo/prompts/{make_prompt(project).pk}"
    told = admin.client.get(at)
    change = {"data": {"sensitive": True}, "content_type": "application/json"}

    assert admin.client.patch(at, **change).status_code == 428
    changed = admin.client.patch(at, **change, headers={"If-Match": told["ETag"]})
    assert changed.json()["sensitive"] is True
    split = {"data": {"split": "test"}, "content_type": "application/json"}
    refused = admin.client.patch(at, **split, headers={"If-Match": "*"})
    assert (refused.status_code, fields_of(refused)) == (400, {"split"})
    assert len(admin.get("prompts", sensitive="true").json()["results"]) == 1
