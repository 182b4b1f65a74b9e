"""Agreement by question: on the page of disagreements and in the API."""

import pytest

from labeling.judging import criteria
from labeling.models import Ranking, Score
from labeling.quality import by_criterion
from tests.factories import make_person, make_ranking, make_task

pytestmark = pytest.mark.django_db
SCALE = [{"value": value} for value in range(3)]


@pytest.fixture
def asked(carol, project):
    made = {}
    for key, fields in {
        "helpful": {"kind": "scale", "labels": SCALE},
        "true": {"kind": "yes-no"},
        "why": {"kind": "text"},
    }.items():
        made[key] = criteria.create(
            carol, project, key=key, question=f"{key}?", scope="answer", **fields
        )
    return made


@pytest.fixture
def bob(project):
    return make_person(project, "labeler", "bobby")


def say(task, person, criterion, values):
    """What a person says of the answers of a task, by a criterion."""
    ranking = Ranking.objects.filter(task=task, judge=person.uuid).first()
    ranking = ranking or make_ranking(task, person)
    answers = task.candidates.order_by("pk").values_list("pk", flat=True)
    for candidate, value in zip(answers, values, strict=True):
        if value is not None:
            Score.objects.create(
                ranking=ranking, criterion=criterion, candidate_id=candidate, value=value
            )


def found(project):
    return {one.name: one for one in by_criterion.figures(project)}


def test_people_are_compared_answer_by_answer(project, asked, alice, bob):
    first, second = make_task(project, overlap=2), make_task(project, overlap=2)
    say(first, alice, asked["helpful"], [0, 1, 2, 2])
    say(first, bob, asked["helpful"], [0, 1, 2, 1])
    say(second, alice, asked["helpful"], [0, 0, 0, None])
    say(second, bob, asked["helpful"], [0, 0, 1, 2])
    say(first, alice, asked["true"], [True, True, False, None])
    say(first, bob, asked["true"], [True, False, False, True])
    say(first, alice, asked["why"], ["x"] * 4)
    say(first, bob, asked["why"], ["x"] * 4)

    figures = found(project)
    assert set(figures) == {"helpful", "true"}  # texts are not compared
    helpful, true = figures["helpful"], figures["true"]
    assert (helpful.share, helpful.compared, helpful.prompts) == (5 / 7, 7, 2)
    assert helpful.low <= helpful.share <= helpful.high
    assert (true.share, true.compared, true.low) == (2 / 3, 3, None)  # one prompt: no interval
    assert 0 < helpful.alpha < 1


def test_what_only_one_person_said_is_not_compared(project, asked, alice):
    say(make_task(project), alice, asked["helpful"], [0, 1, 2, 2])
    assert found(project) == {}


def test_judgments_made_after_seeing_others_do_not_count(project, asked, alice, bob):
    task = make_task(project, overlap=2)
    say(task, alice, asked["helpful"], [0, 1, 2, 2])
    say(task, bob, asked["helpful"], [0, 1, 2, 2])
    Ranking.objects.filter(judge=bob.uuid).update(prompted=True)
    assert found(project) == {}


def test_leads_see_it_on_the_page_and_in_the_api(client_for, project, asked, alice, bob):
    task = make_task(project, overlap=2)
    say(task, alice, asked["helpful"], [0, 1, 2, 2])
    say(task, bob, asked["helpful"], [0, 1, 2, 1])
    lead = client_for(make_person(project, "lead", "lea"))
    page = lead.get("/p/demo/settle/").content.decode()
    assert "Agreement by question" in page
    assert "helpful?" in page

    address = "/api/v1/projects/demo/criteria-agreement"
    [row] = lead.get(address).json()["results"]
    assert (row["name"], row["share"], row["compared"]) == ("helpful", 0.75, 4)
    assert client_for(alice).get(address).status_code == 403


def test_many_judgments_take_as_many_queries_as_few(
    project, asked, alice, bob, django_assert_num_queries
):
    for _ in range(5):
        task = make_task(project, overlap=2)
        for person in (alice, bob):
            say(task, person, asked["helpful"], [0, 1, 2, 2])
    with django_assert_num_queries(2):
        by_criterion.figures(project)
