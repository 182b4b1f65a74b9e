"""Texts through the API: asked for, taken, written, reviewed; none is lost or written twice."""

import pytest

from labeling.models import Demonstration, Prompt, Writing
from people.models import Membership
from tests.factories import make_person, make_prompt
from tests.labeling.api.hands import code_of, fields_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def wish(project, admin):
    """A wish for the ideal answer to one prompt."""
    make_prompt(project, "Why is the sky blue?")
    assert admin.post("writings/ask-demonstrations", {"count": 5}).json() == {"count": 1}
    return Writing.objects.get()


@pytest.fixture
def taken(labeler, wish):
    return labeler.post("writings/take").json()


@pytest.fixture
def handed_in(labeler, taken):
    response = labeler.post(
        f"writings/{taken['id']}/submit", {"text": "Because of Rayleigh.", "seconds": 40}
    )
    assert response.status_code == 200, response.content
    return response.json()


@pytest.fixture
def lead(hands_of, project):
    return hands_of(make_person(project, "lead", "lena"))


def test_a_demonstration_from_the_wish_to_the_dataset(lead, admin, handed_in, wish):
    [waiting] = lead.get("reviews").json()["results"]
    accepted = lead.post(
        f"writings/{waiting['id']}/accept", {"text": "Because of Rayleigh scattering."}
    )

    assert (waiting["text"], waiting["writer"]) == ("Because of Rayleigh.", "Alice")
    assert accepted.json()["state"] == "accepted"
    made = Demonstration.objects.get()
    assert (made.prompt, made.labeler.name, made.text) == (
        wish.prompt,
        "Alice",
        "Because of Rayleigh scattering.",
    )
    [read] = admin.get("demonstrations").json()["results"]
    assert (read["prompt"], read["text"]) == (wish.prompt_id, made.text)
    assert "alice" not in read["writer"].lower()


def test_a_prompt_from_the_wish_to_the_project(labeler, lead, admin):
    admin.post("writings/ask-prompts", {"count": 1, "brief": "Something about birds"})
    taken = labeler.post("writings/take").json()
    labeler.post(f"writings/{taken['id']}/submit", {"text": "Why do owls see at night?"})
    lead.post(f"writings/{taken['id']}/accept")

    assert (taken["kind"], taken["brief"], taken["messages"]) == (
        "prompt",
        "Something about birds",
        None,
    )
    assert Prompt.objects.get().last_turn == "Why do owls see at night?"


def test_a_wish_is_given_to_one(hands_of, bob, taken):
    assert taken["messages"] == [{"role": "user", "content": "Why is the sky blue?"}]
    assert hands_of(bob).post("writings/take").status_code == 204


def test_what_is_written_so_far_is_kept(labeler, taken):
    labeler.post(f"writings/{taken['id']}/save", {"text": "Half a th", "seconds": 12.5})
    again = labeler.post("writings/take").json()

    assert (again["id"], again["text"], again["seconds"]) == (taken["id"], "Half a th", 12.5)
    assert labeler.post(f"writings/{taken['id']}/heartbeat").status_code == 200


def test_an_empty_text_is_refused_and_nothing_is_lost(labeler, taken):
    refused = labeler.post(f"writings/{taken['id']}/submit", {"text": "  "})

    assert (refused.status_code, fields_of(refused)) == (422, {"text"})
    assert Writing.objects.get().text == "  "


def test_a_text_that_was_handed_in_is_not_handed_in_again(labeler, handed_in):
    again = labeler.post(f"writings/{handed_in['id']}/submit", {"text": "Something else."})

    assert (again.status_code, code_of(again)) == (409, "gone")
    assert labeler.post(f"writings/{handed_in['id']}/save", {"text": "Else."}).status_code == 409
    assert Writing.objects.get().text == "Because of Rayleigh."


def test_what_is_given_back_is_somebody_else_s(labeler, hands_of, bob, taken):
    assert labeler.post(f"writings/{taken['id']}/back").json()["state"] == "abandoned"
    assert hands_of(bob).post("writings/take").json()["messages"] == taken["messages"]


def test_a_late_text_is_handed_in_under_a_wish_that_is_open_again(labeler, taken):
    labeler.post(f"writings/{taken['id']}/back")
    late = labeler.post(f"writings/{taken['id']}/submit", {"text": "After all."}).json()

    assert (late["state"], late["text"]) == ("submitted", "After all.")
    assert [one["id"] for one in labeler.get("writings/mine").json()["results"]] == [late["id"]]


def test_a_returned_text_comes_back_with_what_is_to_be_better(labeler, lead, handed_in):
    assert fields_of(lead.post(f"writings/{handed_in['id']}/return")) == {"comment"}
    lead.post(f"writings/{handed_in['id']}/return", {"comment": "Longer, please."})
    again = labeler.post("writings/take").json()

    assert (again["id"], again["state"], again["comment"]) == (
        handed_in["id"],
        "writing",
        "Longer, please.",
    )


def test_a_rejected_text_leaves_the_wish_open(hands_of, bob, lead, handed_in):
    assert lead.post(f"writings/{handed_in['id']}/reject").json()["state"] == "rejected"
    assert hands_of(bob).post("writings/take").status_code == 200
    assert lead.post(f"writings/{handed_in['id']}/accept").status_code == 409


def test_nobody_reviews_what_they_wrote(hands_of, project, lead, wish):
    taken = lead.post("writings/take").json()
    lead.post(f"writings/{taken['id']}/submit", {"text": "Because."})

    assert lead.post(f"writings/{taken['id']}/accept").status_code == 409


def test_wishes_that_nobody_began_on_are_taken_back(admin, wish):
    counted = admin.get("writings/counts").json()
    assert counted["demonstration"] == {"open": 1, "writing": 0, "submitted": 0, "accepted": 0}
    assert admin.post("writings/withdraw").json() == {"count": 1}
    assert not Writing.objects.exists()


def test_who_is_paused_is_given_nothing_to_write(labeler, alice, wish):
    Membership.objects.filter(user=alice).update(paused=True)

    assert code_of(labeler.post("writings/take")) == "not-working"


def test_labelers_ask_for_nothing_and_review_nothing(labeler, handed_in):
    assert labeler.post("writings/ask-prompts", {"count": 1, "brief": "b"}).status_code == 403
    assert labeler.get("reviews").status_code == 403
    assert labeler.post(f"writings/{handed_in['id']}/accept").status_code == 403


def test_texts_are_listed_in_as_many_queries_whatever_their_number(
    labeler, lead, admin, alice, project, handed_in, django_assert_num_queries
):
    def look():
        for hands, path in (
            (labeler, "writings/mine"),
            (lead, "reviews"),
            (admin, "demonstrations"),
        ):
            hands.get(path)
            with django_assert_num_queries(4):
                hands.get(path)

    Demonstration.objects.create(prompt=Prompt.objects.first(), labeler=alice, text="so")
    look()
    for _ in range(3):
        prompt = make_prompt(project)
        Demonstration.objects.create(prompt=prompt, labeler=alice, text="so")
        Writing.objects.create(
            project=project, kind="demonstration", prompt=prompt, labeler=alice, state="submitted"
        )
    look()
