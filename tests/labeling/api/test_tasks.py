"""What an admin decides on tasks through the API: those that were skipped, and those with an answer
key.
"""

import pytest

from labeling import project_settings
from labeling.models import Assignment, Ranking, RankingTask
from labeling.queue import set_aside
from tests.factories import make_person, make_prompt, make_task
from tests.labeling.api.hands import fields_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def task(project):
    return make_task(project)


@pytest.fixture
def skipped(task, labeler, carol, project):
    """A task that alice skipped, and that was set aside for it."""
    project_settings.change(carol, project, skips_to_set_aside=1)
    labeler.post(f"assignments/{labeler.claim()['id']}/skip", {"reason": "broken"})
    task.refresh_from_db()
    assert task.state == "set_aside"
    return task


def test_what_was_set_aside_is_found_with_the_reasons(admin, skipped, project):
    make_task(project)
    [found] = admin.get("tasks", state="set_aside").json()["results"]

    assert found["id"] == skipped.pk
    assert [one["skip_reason"] for one in found["skipped"]] == ["broken"]


def test_a_task_is_put_back(admin, skipped):
    response = admin.post(f"tasks/{skipped.pk}/put-back")

    assert (response.status_code, response.json()["state"]) == (200, "open")


def test_a_task_is_retired(admin, skipped):
    assert admin.post(f"tasks/{skipped.pk}/retire").json()["state"] == "retired"
    assert RankingTask.objects.get().state == "retired"


def test_only_what_is_set_aside_is_retired(admin, task):
    assert admin.post(f"tasks/{task.pk}/retire").status_code == 409
    assert RankingTask.objects.get().state == "open"


def test_a_task_is_shown_with_its_answers_in_the_order_of_making(admin, task):
    shown = admin.get(f"tasks/{task.pk}").json()

    assert [(one["letter"], one["text"]) for one in shown["answers"]] == [
        ("A", "good"),
        ("B", "fair"),
        ("C", "poor"),
        ("D", "bad"),
    ]
    assert shown["candidates"] == [one["candidate"] for one in shown["answers"]]
    assert shown["key"] is None


def test_an_answer_key_makes_a_task_gold(admin, task):
    made = admin.post(f"tasks/{task.pk}/gold", {"order": "A>B>C=D", "note": "clear"}).json()

    assert (made["purpose"], made["free_places"], made["key"]["order"]) == ("gold", 0, "A>B>C=D")
    assert Ranking.objects.get().kind == "gold"
    assert made["rankings"] == 0, "a key is nobody's judgment"


@pytest.mark.parametrize("said", [{"order": "A=B=C=D"}, {"order": "A>B"}, {"verdict": "all_bad"}])
def test_a_key_that_says_nothing_is_refused(admin, task, said):
    assert admin.post(f"tasks/{task.pk}/gold", said).status_code == 400
    assert RankingTask.objects.get().purpose == "training"


def test_a_key_names_answers_that_are_there(admin, task):
    assert fields_of(admin.post(f"tasks/{task.pk}/gold", {"order": "A>B>C>D>E"})) == {"ranks.E"}


def test_a_gold_task_becomes_an_ordinary_one(admin, task):
    admin.post(f"tasks/{task.pk}/gold", {"order": "A>B>C>D"})
    made = admin.post(f"tasks/{task.pk}/not-gold").json()

    assert (made["purpose"], made["free_places"], made["key"]) == ("training", 1, None)


def test_tasks_are_chosen_by_what_they_are(admin, project, task):
    other = make_task(project, prompt=make_prompt(project), priority=-1)
    RankingTask.objects.filter(pk=other.pk).update(free_places=0)
    for asked in ({"prompt": other.prompt_id}, {"job": other.job_id}, {"free": "false"}):
        assert [one["id"] for one in admin.get("tasks", **asked).json()["results"]] == [other.pk], (
            asked
        )


def test_a_researcher_reads_tasks_and_decides_nothing(hands_of, project, task):
    researcher = hands_of(make_person(project, "researcher", "rita"))

    assert researcher.get(f"tasks/{task.pk}").status_code == 200
    for verb in ("put-back", "retire", "gold", "not-gold"):
        assert researcher.post(f"tasks/{task.pk}/{verb}", {"order": "A>B>C>D"}).status_code == 403


def test_what_is_decided_twice_is_decided_once(admin, skipped):
    assert [
        admin.post(f"tasks/{skipped.pk}/put-back", key="one").status_code for _ in range(2)
    ] == [200, 200]
    assert set_aside.skips(RankingTask.objects.get()).count() == 0
    assert Assignment.objects.get().state == "skipped"
