"""What a lead adjudicates is shown in an order of their own, and is stored as they meant it."""

import pytest

from labeling.judging import form_drafts
from labeling.models import Candidate, FormDraft, Ranking, RankingTask
from labeling.quality import adjudication
from tests.factories import make_job, make_model, make_person, make_ranking, make_task
from tests.labeling.api.hands import Hands

pytestmark = pytest.mark.django_db
TEXTS = ["good", "fair", "poor", "bad"]
RANKS = {"good": 1, "fair": 2, "poor": 2, "bad": 3}


@pytest.fixture
def leads(project):
    return [make_person(project, "lead", f"lead{number}") for number in range(6)]


@pytest.fixture
def task(project, alice, bob):
    return disputed(project, alice, bob)


def disputed(project, *people, texts=TEXTS) -> RankingTask:
    """A task that the first of two people ranked as its slots stand, and the other the other way
    round; a model of its own wrote each answer.
    """
    task = make_task(project, texts=texts, overlap=2, job=make_job(project))
    for answer in task.candidates.all():
        Candidate.objects.filter(pk=answer.pk).update(model_version=make_model(project))
    up = list(range(1, len(texts) + 1))
    for person, ranks in zip(people, (up, up[::-1]), strict=True):
        make_ranking(RankingTask.objects.get(pk=task.pk), person, ranks)
    return RankingTask.objects.get(pk=task.pk)


def shown(client, task) -> list[str]:
    """The answers' texts by letter."""
    answers = client.get(address(task)).context["answers"]
    return [next(text for text in TEXTS if text in answer.html) for answer in answers]


def address(task) -> str:
    return f"/p/demo/tasks/{task.pk}/settle"


def by_letter(texts, values, name="rank") -> dict:
    return {f"{name}-{letter}": values[text] for letter, text in zip("abcd", texts)}


def test_each_lead_has_an_order_of_their_own_that_stays(client_for, leads, task):
    orders = [tuple(shown(client_for(lead), task)) for lead in leads]

    assert len(set(orders)) > 1
    assert [tuple(shown(client_for(lead), task)) for lead in leads] == orders


def test_a_model_has_no_letter_of_its_own(client_for, leads, alice, bob, project):
    tasks = [disputed(project, alice, bob) for _ in range(6)]

    assert len({shown(client_for(leads[0]), task)[0] for task in tasks}) > 1


def test_the_judgment_stored_is_of_the_answers_that_were_meant(client_for, leads, task):
    for revision, lead in enumerate(leads, 1):
        browser = client_for(lead)
        texts = shown(browser, task)
        assert browser.post(address(task), by_letter(texts, RANKS)).status_code == 302

        ranking = adjudication.settled(task)
        ranked = ranking.ranked.values_list("candidate__text", "rank")
        assert (ranking.revision, dict(ranked)) == (revision, RANKS)


def test_another_lead_finds_the_adjudication_in_their_own_letters(client_for, leads, task):
    first = client_for(leads[0])
    first.post(address(task), by_letter(shown(first, task), RANKS))

    for lead in leads:
        browser = client_for(lead)
        texts, typed = shown(browser, task), browser.get(address(task)).context["typed"]
        there = {texts["abcd".index(letter)]: rank for letter, rank in typed["rank"].items()}
        assert there == {"good": 1, "fair": 2, "poor": 2, "bad": 4}
        in_order = [texts["abcd".index(letter)] for letter in typed["order"]]
        assert (in_order[0], in_order[-1]) == ("good", "bad")


def test_what_others_said_is_in_the_letters_of_the_form(client_for, leads, task):
    for lead in leads:
        texts = shown(client_for(lead), task)
        letters = ["ABCD"[texts.index(text)] for text in TEXTS]
        judged = adjudication.judged(adjudication.sheet(task, lead))
        assert [said.order for said in judged] == [" > ".join(letters), " > ".join(letters[::-1])]


def test_a_draft_from_before_the_answers_were_shuffled_keeps_its_meaning(client_for, leads, task):
    old = {
        "rank": {"a": 1, "d": 4},
        "rating": {"b": 6},
        "flags": {"c": ["hallucination"]},
        "order": "ad",
        "strength": None,
        "scores": {"tone": {"a": 5}, "overall": "fine"},
        "spans": [{"answer": "b", "label": "x", "start": 0, "end": 2}],
    }
    for lead in leads:
        FormDraft.objects.create(task=task, person=lead, kind="adjudicated", draft=dict(old))
        letter = dict(zip(shown(client_for(lead), task), "abcd"))
        paper = adjudication.sheet(task, lead)
        draft = form_drafts.newer_than(None, paper, Ranking.Kind.ADJUDICATED)

        assert draft == {
            "rank": {letter["good"]: 1, letter["bad"]: 4},
            "rating": {letter["fair"]: 6},
            "flags": {letter["poor"]: ["hallucination"]},
            "order": letter["good"] + letter["bad"],
            "strength": None,
            "scores": {"tone": {letter["good"]: 5}, "overall": "fine"},
            "spans": [{"answer": letter["fair"], "label": "x", "start": 0, "end": 2}],
        }


def test_what_is_typed_is_there_again(client_for, leads, task):
    for lead in leads:
        browser = client_for(lead)
        half = {"rank-a": 1, "rating-c": 6, "order": "a"}
        assert browser.post(f"{address(task)}/draft", half).status_code == 200
        typed = browser.get(address(task)).context["typed"]
        assert (typed["rank"], typed["rating"], typed["order"]) == ({"a": 1}, {"c": 6}, "a")


def test_a_strength_is_of_the_same_answer_over_the_other(client_for, leads, project, alice, bob):
    project.rules.strength = True
    project.rules.save()
    task = disputed(project, alice, bob, texts=TEXTS[:2])
    seen = set()
    for lead in leads:
        browser = client_for(lead)
        texts = shown(browser, task)
        seen.add(texts[0])
        strength = 2 if texts[0] == "good" else -2
        assert browser.post(address(task), {"strength": strength}).status_code == 302
        for other in leads:
            form = client_for(other).get(address(task)).context
            assert form["typed"]["strength"] == (2 if "good" in form["answers"][0].html else -2)
    assert seen == {"good", "fair"}


def test_a_script_of_a_lead_gets_the_order_of_the_page(client_for, leads, task):
    for lead in leads:
        browser = client_for(lead)
        script, texts = Hands(browser), shown(browser, task)
        at = f"tasks/{task.pk}/settle"
        assert [answer["text"] for answer in script.get(at).json()["answers"]] == texts
        letter = dict(zip(texts, "ABCD"))
        order = ">".join(letter[text] for text in TEXTS)
        assert script.post(at, {"order": order}).json()["settled"]["order"] == order
        ranked = adjudication.settled(task).ranked.order_by("rank")
        assert list(ranked.values_list("candidate__text", flat=True)) == TEXTS
