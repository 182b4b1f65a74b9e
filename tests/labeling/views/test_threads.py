"""Questions about tasks: asked over the ranking page, answered by a lead, closed; blind."""

import re

import pytest

from labeling.judging import threads
from labeling.models import Assignment, Message, Seen, Thread
from people.models import Membership
from tests.factories import make_person, make_task
from tests.pages import one_line

pytestmark = pytest.mark.django_db

RANK = "/p/demo/rank/"
QUESTIONS = "/p/demo/questions/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def task(project):
    return make_task(project)


@pytest.fixture
def page(client_for, alice, task):
    """Alice's browser, at the task."""
    client = client_for(alice)
    client.get(RANK)
    return client


@pytest.fixture
def lena(project):
    return make_person(project, "lead", "lena")


@pytest.fixture
def lead(client_for, lena):
    return client_for(lena)


def ask(page, text="Is B cut off?", **options):
    place = Assignment.objects.get(labeler__email="alice@example.org")
    return page.post(f"{RANK}{place.pk}/thread", {"text": text}, **options)


def waiting(person):
    return threads.to_read(Membership.objects.select_related("project", "user").get(user=person))


def test_a_question_is_asked_over_the_task_and_keeps_it(page, alice):
    place = Assignment.objects.get()
    assert 'name="text"' in one_line(page.get(f"{RANK}{place.pk}/thread", headers=HTMX))
    sent = one_line(ask(page, headers=HTMX))

    assert "Sent." in sent
    assert "Is B cut off?" in sent
    assert Assignment.objects.get().state == "leased"
    assert Message.objects.get().text == "Is B cut off?"


def test_a_form_that_arrives_twice_says_it_once(page, lead):
    place = Assignment.objects.get()
    asked = one_line(page.get(f"{RANK}{place.pk}/thread", headers=HTMX))
    key = re.search(r'name="key" value="([^"]+)"', asked)[1]
    for _ in "12":
        response = page.post(f"{RANK}{place.pk}/thread", {"text": "Is B cut off?", "key": key})
        assert response.status_code == 200
    assert Message.objects.count() == 1

    address = f"{QUESTIONS}{Thread.objects.get().pk}/"
    key = re.search(r'name="key" value="([^"]+)"', one_line(lead.get(address)))[1]
    for _ in "12":
        assert lead.post(address, {"text": "Yes.", "key": key}).status_code == 302
    assert Message.objects.count() == 2


def test_a_lead_answers_and_the_labeler_is_told_until_they_read(page, lead, alice, lena):
    ask(page)
    assert (waiting(alice), waiting(lena)) == (0, 1)
    thread = Thread.objects.get()
    lead.post(f"{QUESTIONS}{thread.pk}/", {"text": "Yes, mark it."})
    assert (waiting(alice), waiting(lena)) == (1, 0)
    assert "new answer" in one_line(page.get(QUESTIONS))

    assert "Yes, mark it." in one_line(page.get(f"{QUESTIONS}{thread.pk}/"))
    assert (waiting(alice), waiting(lena)) == (0, 0)
    assert 'id="to-read"' not in one_line(page.get(RANK))
    ask(page, "And D?")
    assert (waiting(alice), waiting(lena)) == (0, 1)


def test_the_ranking_page_says_that_an_answer_waits(page, lena, django_capture_on_commit_callbacks):
    ask(page)
    with django_capture_on_commit_callbacks(execute=True):
        threads.say(lena, Thread.objects.get(), "Yes.")
    assert 'id="to-read"' in one_line(page.get(RANK))


def test_who_reads_another_ones_question_gets_no_place_on_its_task(page, lead, lena, task):
    ask(page)
    html = one_line(lead.get(f"{QUESTIONS}{Thread.objects.get().pk}/"))

    assert Seen.objects.filter(task=task, person=lena).exists()
    assert "Is B cut off?" in html
    assert "Alice" not in html
    assert task.candidates.first().model_version.name not in html


def test_an_own_question_is_no_reason(page, alice, task):
    ask(page)
    page.get(f"{QUESTIONS}{Thread.objects.get().pk}/")
    assert not Seen.objects.filter(task=task, person=alice).exists()


def test_labelers_see_their_own_questions_only(page, client_for, bob):
    ask(page)
    thread = Thread.objects.get()
    assert client_for(bob).get(f"{QUESTIONS}{thread.pk}/").status_code == 404
    assert client_for(bob).post(f"{QUESTIONS}{thread.pk}/close").status_code == 404
    assert "no open questions" in one_line(client_for(bob).get(QUESTIONS))


def test_nobody_asks_at_the_place_of_another(page, client_for, bob):
    place = Assignment.objects.get()
    assert client_for(bob).post(f"{RANK}{place.pk}/thread", {"text": "?"}).status_code == 404


def test_a_closed_question_is_listed_on_demand_and_opens_again(page, lead):
    ask(page)
    thread = Thread.objects.get()
    lead.post(f"{QUESTIONS}{thread.pk}/close")
    assert "no open questions" in one_line(lead.get(QUESTIONS))
    assert "closed" in one_line(lead.get(f"{QUESTIONS}?all=1"))
    ask(page, "One more.")
    assert "waits for an answer" in one_line(lead.get(QUESTIONS))


@pytest.mark.parametrize(
    ("text", "says"),
    [(" ", "Write a message."), ("x" * 4001, "at most 4000 characters")],
    ids=["empty", "too long"],
)
def test_a_message_that_cannot_be_sent_says_why_and_is_kept(page, lead, text, says):
    refused = ask(page, text)
    assert (refused.status_code, says in one_line(refused)) == (422, True)
    ask(page)
    refused = lead.post(f"{QUESTIONS}{Thread.objects.get().pk}/", {"text": text})
    assert (refused.status_code, says in one_line(refused)) == (422, True)
    assert text.strip() in refused.content.decode()
    assert Message.objects.count() == 1


@pytest.mark.parametrize("count", [1, 7])
def test_the_queries_do_not_grow_with_the_questions(
    client_for, project, task, lead, alice, count, django_assert_num_queries
):
    people = [make_person(project, "labeler", f"asker{number}") for number in range(count)]
    for person in people:
        thread = Thread.objects.create(task=task, labeler=person)
        Message.objects.create(thread=thread, author=person, text="Why?")
    lead.get(QUESTIONS)
    with django_assert_num_queries(6):
        lead.get(QUESTIONS)
