"""What was decided, found again: one's own, revised and undone; everybody's, for who reads a
project.
"""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from labeling.models import Assignment, DatasetRanking, Ranking
from modelops.models import Dataset
from tests.factories import make_person, make_prompt, make_ranking, make_task
from tests.labeling.api.hands import RANKS, code_of, fields_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def done(labeler, project):
    """What alice has decided on one task."""
    make_task(project, prompt=make_prompt(project, "What is a podium?"))
    return labeler.rank(note="quite sure")


@pytest.fixture
def researcher(hands_of, project):
    return hands_of(make_person(project, "researcher", "rita"))


def test_history_shows_what_was_said(labeler, done):
    [found] = labeler.get("rankings").json()["results"]

    assert found["messages"][0]["content"] == "What is a podium?"
    assert (found["order"], found["note"], found["current"]) == ("B>A=C>D", "quite sure", True)


@pytest.mark.parametrize(
    ("words", "found"), [("podium", 1), ("QUITE", 1), ("中文", 1), ("cheese", 0)]
)
def test_history_is_searched_in_prompts_and_notes(labeler, project, done, words, found):
    make_task(project, prompt=make_prompt(project, "用中文回答"))
    labeler.rank()

    assert len(labeler.get("rankings", search=words).json()["results"]) == found


def test_history_is_ones_own(hands_of, bob, done):
    other = hands_of(bob)

    assert other.get("rankings").json()["results"] == []
    assert other.get(f"rankings/{done['id']}").status_code == 404
    for verb in ("draft", "revise"):
        assert other.post(f"rankings/{done['id']}/{verb}", RANKS).status_code == 404


def test_one_ranking_is_shown_with_its_answers_in_the_order_shown(labeler, alice, done):
    one = Assignment.objects.get(labeler=alice)
    shown = labeler.get(f"rankings/{done['id']}").json()

    assert [answer["text"] for answer in shown["answers"]] == [one.texts[pk] for pk in one.order]


def test_a_revision_counts_and_the_first_stays(labeler, done):
    revised = labeler.post(f"rankings/{done['id']}/revise", {"order": "A>B>C>D"})

    assert (revised.status_code, revised.json()["order"], revised.json()["revision"]) == (
        201,
        "A>B>C>D",
        2,
    )
    assert [one["current"] for one in labeler.get("rankings").json()["results"]] == [True, False]
    assert len(labeler.get("rankings", current="true").json()["results"]) == 1


def test_a_revision_that_arrives_twice_counts_once(labeler, done):
    for _ in range(2):
        labeler.post(f"rankings/{done['id']}/revise", {"order": "A>B>C>D"}, key="again")

    assert Ranking.objects.count() == 2


def test_only_what_counts_can_be_revised(labeler, done):
    labeler.post(f"rankings/{done['id']}/revise", {"order": "A>B>C>D"})
    again = labeler.post(f"rankings/{done['id']}/revise", RANKS)

    assert (again.status_code, code_of(again)) == (409, "nothing-to-revise")


def test_an_incomplete_revision_is_refused(labeler, done):
    assert fields_of(labeler.post(f"rankings/{done['id']}/revise", {"order": "A>B"})) == {"ranks.C"}


def test_a_half_said_revision_is_kept_beside_the_ranking(labeler, client_for, alice, done):
    kept = labeler.post(
        f"rankings/{done['id']}/draft", {"order": "D>A", "note": "on second thought"}
    )

    assert kept.status_code == 200
    assert Ranking.objects.get(current=True).note == "quite sure"
    page = client_for(alice).get(f"/p/demo/rank/{done['assignment']}/revise").content.decode()
    assert "on second thought" in page


def test_undo_brings_the_task_back_with_what_was_said(labeler, done):
    undone = labeler.post("rankings/undo", {"ranking": done["id"]})

    assert (undone.status_code, undone.json()["ranking"]) == (200, None)
    sheet = undone.json()["assignment"]
    assert (sheet["id"], sheet["draft"]["order"]) == (done["assignment"], "B>A=C>D")
    assert labeler.claim() == sheet


def test_undo_of_a_revision_brings_the_ranking_before_back(labeler, done):
    revised = labeler.post(f"rankings/{done['id']}/revise", {"order": "A>B>C>D"}).json()
    undone = labeler.post("rankings/undo", {"ranking": revised["id"]}).json()

    assert (undone["assignment"], undone["ranking"]["id"]) == (None, done["id"])
    assert Ranking.objects.get(current=True).pk == done["id"]


def test_an_undo_that_arrives_twice_undoes_one(labeler, project, done):
    make_task(project)
    second = labeler.rank()
    labeler.post("rankings/undo", {"ranking": second["id"]})
    again = labeler.post("rankings/undo", {"ranking": second["id"]})

    assert (again.status_code, code_of(again)) == (409, "too-late")
    assert Ranking.objects.get(current=True).pk == done["id"]


@pytest.mark.parametrize("why", ["old", "frozen"])
def test_an_undo_that_comes_too_late_is_told_so(labeler, project, done, why):
    if why == "old":
        Ranking.objects.update(created_at=now() - timedelta(minutes=11))
    else:
        dataset = Dataset.objects.create(
            project=project, kind="judgments", digest="f" * 64, folder="", counts={}
        )
        DatasetRanking.objects.create(dataset=dataset, ranking_id=done["id"])

    assert labeler.post("rankings/undo", {"ranking": done["id"]}).status_code == 409
    assert Ranking.objects.get().current


def test_a_researcher_reads_all_with_what_was_answered_and_by_which_version(
    researcher, alice, done
):
    [found] = researcher.get("rankings").json()["results"]
    order = Assignment.objects.get(labeler=alice).order

    assert found["candidates"] == dict(zip("ABCD", order))
    assert found["kind"] == "labeler"
    assert len(researcher.get(f"rankings/{found['id']}").json()["answers"]) == 4


def test_a_judge_has_one_pseudonym_in_a_project(researcher, labeler, project, done, bob):
    make_ranking(make_task(project), bob)
    make_task(project)
    labeler.rank()
    judges = [one["judge"] for one in researcher.get("rankings").json()["results"]]

    assert judges[0] == judges[2] != judges[1]
    assert "alice" not in str(judges).lower()


def test_rankings_are_chosen_by_what_they_are_about(researcher, project, bob, done):
    task = make_task(
        project, prompt=make_prompt(project, use_case="chat", language="fi", split="test")
    )
    other = make_ranking(task, bob)
    version = task.candidates.first().model_version_id
    asked = [
        {"task": task.pk},
        {"prompt": task.prompt_id},
        {"use_case": "chat"},
        {"language": "fi"},
        {"split": "test"},
    ]
    asked += [{"model_version": version}, {"since": other.created_at.isoformat()}]
    for one in asked:
        assert [found["id"] for found in researcher.get("rankings", **one).json()["results"]] == [
            other.pk
        ], one


def test_rankings_take_the_same_queries_for_one_and_for_many(
    researcher, labeler, project, done, django_assert_num_queries
):
    def look() -> int:
        researcher.get("rankings")
        with django_assert_num_queries(QUERIES + 1):  # whether they have seen these tasks before
            researcher.get("rankings")
        labeler.get("rankings")
        with django_assert_num_queries(QUERIES):
            labeler.get("rankings")

    look()
    for number in range(4):
        make_ranking(make_task(project), make_person(project))
        make_task(project, prompt=make_prompt(project, f"Question {number}"))
        labeler.rank()
    look()


QUERIES = 7  # session, user, membership, rankings, their ranks, scores and spans
