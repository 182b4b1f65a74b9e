"""Threads and reviews through the API: who may do what, and what each of them is shown."""

import pytest

from labeling.models import Assignment, Message, Prompt, Ranking, Review, Thread
from people.models import User
from tests.factories import make_person, make_task
from tests.labeling.api.hands import code_of, fields_of

pytestmark = pytest.mark.django_db
ROLES = ("admin", "researcher", "lead", "owner", "labeler", "stranger")
PATHS = {  # what each role is answered; the owner is the labeler whose ranking and thread it is
    ("get", "threads"): (200, 403, 200, 200, 200, 404),
    ("get", "threads/{thread}"): (200, 403, 200, 200, 404, 404),
    ("post", "threads/{thread}/messages"): (201, 403, 201, 201, 404, 404),
    ("post", "threads/{thread}/close"): (200, 403, 200, 200, 404, 404),
    ("post", "assignments/{assignment}/thread"): (404, 403, 404, 201, 404, 404),
    ("get", "rankings/{ranking}/reviews"): (200, 403, 200, 200, 404, 404),
    ("post", "rankings/{ranking}/reviews"): (201, 403, 201, 403, 403, 404),
}
BODIES = {"messages": {"text": "So."}, "thread": {"text": "So?"}, "reviews": {"verdict": "agree"}}


@pytest.fixture
def lead(hands_of, project):
    return hands_of(make_person(project, "lead", "lena"))


@pytest.fixture
def done(labeler, project):
    """What alice has decided on one task."""
    make_task(project, overlap=3)
    return labeler.rank(note="not sure")


@pytest.fixture
def thread(labeler, done):
    return labeler.post(f"assignments/{done['assignment']}/thread", {"text": "Is B meant?"}).json()


@pytest.fixture
def everybody(hands_of, project, alice):
    people = {role: make_person(project, role, f"the-{role}") for role in ROLES[:3]}
    people |= {"labeler": make_person(project, "labeler", "another"), "owner": alice}
    people["stranger"] = make_person(name="stranger")
    return {role: hands_of(people[role]) for role in ROLES}


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_each_role_may_do_what_the_table_says(everybody, done, thread, method, path):
    ids = {"thread": thread["id"], "assignment": done["assignment"], "ranking": done["id"]}
    body = BODIES.get(path.rpartition("/")[2], {}) if method == "post" else {}
    address, answers = path.format(**ids), []
    for role in ROLES:
        hands = everybody[role]
        response = hands.get(address) if method == "get" else hands.post(address, body)
        answers.append(response.status_code)

    assert tuple(answers) == PATHS[method, path]


def test_a_labeler_asks_and_a_lead_answers(labeler, lead, done, thread):
    [open_one] = lead.get("threads", open="true").json()["results"]
    assert (open_one["id"], open_one["count"]) == (thread["id"], 1)
    assert "messages" not in open_one

    answered = lead.post(f"threads/{thread['id']}/messages", {"text": "No, A is."}).json()
    assert [(one["by"], one["mine"], one["text"]) for one in answered["messages"]] == [
        ("labeler", False, "Is B meant?"),
        ("lead", True, "No, A is."),
    ]
    read = labeler.get(f"threads/{thread['id']}").json()
    assert [one["mine"] for one in read["messages"]] == [True, False]
    assert read["last_at"] == read["messages"][1]["at"]

    closed = lead.post(f"threads/{thread['id']}/close").json()
    assert closed["closed_at"]
    assert lead.get("threads", open="true").json()["results"] == []
    assert len(lead.get("threads", open="false").json()["results"]) == 1
    labeler.post(f"threads/{thread['id']}/messages", {"text": "Why?"})
    assert len(lead.get("threads", open="true").json()["results"]) == 1


def test_a_thread_shows_the_answers_in_its_labeler_s_letters(lead, alice, done, thread):
    place = Assignment.objects.get(labeler=alice)
    about = lead.get(f"threads/{thread['id']}").json()["about"]

    assert [answer["text"] for answer in about["answers"]] == [
        place.texts[pk] for pk in place.order
    ]
    assert about["messages"] == place.messages


def test_a_lead_finds_the_ranking_that_a_thread_is_about(lead, done, thread):
    seen = lead.get(f"threads/{thread['id']}").json()

    assert seen["ranking"] == done["id"]
    assert lead.get(f"rankings/{done['id']}").json()["judge"] == seen["judge"]


def test_asking_again_adds_to_the_same_thread(labeler, done, thread):
    again = labeler.post(f"assignments/{done['assignment']}/thread", {"text": "And C?"})

    assert again.status_code == 201
    assert again.headers["Location"].endswith(f"/threads/{thread['id']}")
    assert [one["text"] for one in again.json()["messages"]] == ["Is B meant?", "And C?"]


def test_a_message_that_arrives_twice_is_written_once(lead, thread):
    for _ in range(2):
        lead.post(f"threads/{thread['id']}/messages", {"text": "Yes."}, key="one")

    assert Message.objects.count() == 2


def test_who_does_not_hold_the_task_cannot_ask(labeler, project):
    make_task(project)
    sheet = labeler.claim()
    labeler.post(f"assignments/{sheet['id']}/return")
    refused = labeler.post(f"assignments/{sheet['id']}/thread", {"text": "Why?"})

    assert (refused.status_code, code_of(refused)) == (409, "refused")


@pytest.mark.parametrize("text", ["", " ", "x" * 4001])
def test_a_message_is_neither_empty_nor_endless(lead, thread, text):
    assert fields_of(lead.post(f"threads/{thread['id']}/messages", {"text": text})) == {"text"}


def test_a_review_is_read_by_the_labeler_without_a_name(labeler, lead, done):
    written = lead.post(f"rankings/{done['id']}/reviews", {"verdict": "comment", "comment": "Hm."})
    read = labeler.get(f"rankings/{done['id']}/reviews").json()

    assert (written.status_code, written.json()["mine"]) == (201, True)
    [review] = read["reviews"]
    assert (review["verdict"], review["comment"], review["mine"]) == ("comment", "Hm.", False)
    assert "lena" not in str(read).lower()
    assert read["ranking"]["id"] == done["id"]
    assert len(read["about"]["answers"]) == 4


def test_rankings_are_found_by_their_reviews_and_by_what_prompted_them(labeler, lead, done):
    assert labeler.get("rankings", reviewed="true").json()["results"] == []
    lead.post(f"rankings/{done['id']}/reviews", {"verdict": "disagree"})
    revised = labeler.post(f"rankings/{done['id']}/revise", {"order": "A>B>C>D"}).json()

    assert revised["prompted"]
    [reviewed] = lead.get("rankings", reviewed="true").json()["results"]
    [prompted] = lead.get("rankings", prompted="true").json()["results"]
    assert (reviewed["id"], reviewed["prompted"]) == (done["id"], False)
    assert prompted["id"] == revised["id"]


def test_reviews_have_a_verdict_and_a_comment_has_words(lead, done):
    at = f"rankings/{done['id']}/reviews"
    assert fields_of(lead.post(at, {})) == {"verdict"}
    assert fields_of(lead.post(at, {"verdict": "comment"})) == {"comment"}
    assert not Review.objects.exists()


def test_nobody_reviews_their_own_ranking(lead, project):
    make_task(project)
    own = lead.rank()
    refused = lead.post(f"rankings/{own['id']}/reviews", {"verdict": "agree"})

    assert (refused.status_code, code_of(refused)) == (409, "refused")


def test_sensitive_ones_are_for_leads_who_are_willing(lead, labeler, done, thread):
    Prompt.objects.update(sensitive=True)
    assert lead.get("threads").json()["results"] == []
    assert lead.get(f"threads/{thread['id']}").status_code == 404
    assert lead.get(f"rankings/{done['id']}/reviews").status_code == 404
    assert labeler.get(f"threads/{thread['id']}").status_code == 200, "one's own"
    assert labeler.get(f"rankings/{done['id']}/reviews").status_code == 200

    User.objects.filter(name="Lena").update(sensitive=True)
    assert lead.get(f"threads/{thread['id']}").status_code == 200
    assert lead.get(f"rankings/{done['id']}/reviews").status_code == 200


def test_how_many_rankings_were_prompted_is_shown_beside_the_agreement(lead, labeler, done):
    assert lead.get("agreement").json()["prompted"] == 0
    lead.post(f"rankings/{done['id']}/reviews", {"verdict": "disagree"})
    labeler.post(f"rankings/{done['id']}/revise", {"order": "A>B>C>D"})

    assert Ranking.objects.get(current=True).prompted
    assert lead.get("agreement").json()["prompted"] == 1


def test_threads_take_the_same_queries_for_one_and_for_many(
    lead, labeler, project, thread, django_assert_num_queries
):
    def look() -> None:
        for hands, queries in ((lead, 4), (labeler, 5)):
            hands.get("threads")
            with django_assert_num_queries(queries):  # session, user, membership, threads
                hands.get("threads")  # and one's own places

    look()
    for _ in range(3):
        make_task(project)
        labeler.post(f"assignments/{labeler.rank()['assignment']}/thread", {"text": "And this?"})
    assert Thread.objects.count() == 4
    look()
