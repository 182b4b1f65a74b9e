"""Texts are asked for, written, reviewed, and become demonstrations and prompts; none is lost or
written twice.
"""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from labeling.models import Demonstration, Prompt, Writing
from labeling.writing import drafts
from people import projects
from people.models import Membership
from tests.factories import TOOL_TURNS, make_person, make_prompt, make_ranking, make_task

pytestmark = pytest.mark.django_db

WRITE = "/p/demo/write/"
ASK = {"split": "train", "count": 5}


@pytest.fixture
def admin(client_for, project):
    return client_for(make_person(project, "admin", "dana"))


@pytest.fixture
def wish(project, admin):
    """A wish for the ideal answer to one prompt."""
    make_prompt(project, "Why is the sky blue?")
    admin.post(f"{WRITE}ask/demonstration/", ASK)
    return Writing.objects.get()


@pytest.fixture
def page(client_for, alice, wish):
    """Alice's browser; she has begun on the wish."""
    client = client_for(alice)
    client.get(WRITE)
    return client


def test_the_prompt_is_shown_with_the_turns_of_tools(client_for, alice, admin, project):
    make_prompt(project, messages=TOOL_TURNS)
    admin.post(f"{WRITE}ask/demonstration/", ASK)

    assert "<h2>Tool: weather</h2>" in client_for(alice).get(WRITE).content.decode()


def hand_in(client, one, text="Because of Rayleigh scattering."):
    return client.post(f"{WRITE}{one.pk}/submit", {"text": text})


def judge(client, one, deed, **form):
    return client.post(
        f"{WRITE}review/{one.pk}/", {"deed": deed, "text": one.text or "mended"} | form
    )


def states():
    return sorted(Writing.objects.values_list("state", flat=True))


def test_a_review_that_says_nothing_settles_nothing(page, wish, admin):
    page.get(WRITE)
    hand_in(page, wish)
    response = judge(admin, wish, "")
    assert (response.status_code, states()) == (422, ["submitted"])
    assert "Choose a decision for this text" in response.content.decode()


def test_a_demonstration_from_the_wish_to_the_dataset(page, wish, admin):
    assert "Why is the sky blue?" in page.get(WRITE).content.decode()
    hand_in(page, wish)
    assert "Why is the sky blue?" in admin.get(f"{WRITE}review/{wish.pk}/").content.decode()
    judge(admin, wish, "accept", text="Because of Rayleigh scattering!")
    made = Demonstration.objects.get()
    assert (made.prompt, made.labeler.name, made.text) == (
        wish.prompt,
        "Alice",
        "Because of Rayleigh scattering!",
    )
    assert states() == ["accepted"]


def test_a_prompt_from_the_wish_to_the_project(client_for, alice, project, admin):
    admin.post(f"{WRITE}ask/prompt/", {"brief": "Something about birds", "count": 2})
    client = client_for(alice)
    assert "Something about birds" in client.get(WRITE).content.decode()
    for text in ("Why do owls see at night?", "How far do swifts fly?"):
        client.get(WRITE)
        hand_in(client, Writing.objects.get(state="writing"), text)
    for one in Writing.objects.all():
        judge(admin, one, "accept", text=one.text)
    made = list(Prompt.objects.all())
    assert [one.last_turn for one in made] == [
        "Why do owls see at night?",
        "How far do swifts fly?",
    ]
    assert made[0].published
    assert made[0].author
    assert made[0].split == made[1].split, "an author's prompts lie in one split"


def test_a_prompt_that_is_there_already_is_refused(client_for, alice, project, admin):
    make_prompt(project, "Why do owls see at night?")
    admin.post(f"{WRITE}ask/prompt/", {"brief": "birds", "count": 1})
    client = client_for(alice)
    client.get(WRITE)
    response = hand_in(client, Writing.objects.get(), " Why do owls see at night? ")
    assert response.status_code == 422
    assert "This prompt exists already" in response.content.decode()


def test_only_prompts_without_a_demonstration_are_asked_for_and_once(project, admin, wish):
    answered = make_prompt(project)
    Demonstration.objects.create(prompt=answered, text="so")
    make_prompt(project, split="test")
    admin.post(f"{WRITE}ask/demonstration/", ASK)
    assert Writing.objects.count() == 1


def test_a_form_that_arrives_twice_asks_once(project, admin):
    form = {"brief": "birds", "count": 3, "key": "0a0b0c0d-0000-4000-8000-000000000000"}
    admin.post(f"{WRITE}ask/prompt/", form)
    admin.post(f"{WRITE}ask/prompt/", form)
    assert Writing.objects.count() == 3


def test_a_wish_is_given_to_one(page, client_for, bob, wish):
    assert "Nothing to write right now" in client_for(bob).get(WRITE).content.decode()


def test_what_is_written_so_far_is_kept(page, wish):
    page.post(f"{WRITE}{wish.pk}/save", {"text": "Half a th", "seconds": "12.5"})
    html = page.get(WRITE).content.decode()
    assert "Half a th" in html
    assert 'value="12.5"' in html


def test_nothing_is_handed_in_empty(page, wish):
    response = hand_in(page, wish, "  ")
    assert response.status_code == 422
    assert "Write something first." in response.content.decode()
    assert states() == ["writing"]


def test_handing_in_twice_is_harmless(page, wish):
    hand_in(page, wish)
    assert hand_in(page, wish, "something else").status_code == 302
    wish.refresh_from_db()
    assert wish.text == "Because of Rayleigh scattering."


def test_what_is_sent_back_comes_first_with_its_comment(page, wish, admin, project):
    hand_in(page, wish)
    make_prompt(project)
    admin.post(f"{WRITE}ask/demonstration/", ASK)
    judge(admin, wish, "return", comment="Explain the word scattering")
    html = page.get(WRITE).content.decode()
    assert "Explain the word scattering" in html
    assert "Because of Rayleigh" in html


def test_sending_back_needs_a_reason(page, wish, admin):
    hand_in(page, wish)
    response = judge(admin, wish, "return", comment=" ")
    assert response.status_code == 422
    assert "Say what should be improved." in response.content.decode()


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        ("accept", "The text is accepted."),
        ("return", "The text is sent back to its writer."),
        ("reject", "The text is rejected."),
    ],
)
def test_a_reviewer_reads_what_was_decided(page, wish, admin, decision, message):
    hand_in(page, wish)
    judge(admin, wish, decision, comment="Be shorter.")

    assert message in admin.get("/p/demo/write/review/").content.decode()


def test_a_rejected_text_opens_the_wish_again(page, wish, admin, client_for, bob):
    hand_in(page, wish)
    judge(admin, wish, "reject")
    assert states() == ["open", "rejected"]
    assert "Why is the sky blue?" in client_for(bob).get(WRITE).content.decode()


def test_nobody_reviews_their_own(project, client_for, wish):
    lead = make_person(project, "lead", "lea")
    client = client_for(lead)
    client.get(WRITE)
    hand_in(client, wish)
    response = judge(client, wish, "accept")
    assert "Someone else has to review" in response.content.decode()
    assert states() == ["submitted"]


def test_two_reviewers_settle_once(page, wish, admin, client_for, project):
    hand_in(page, wish)
    judge(admin, wish, "accept")
    judge(client_for(make_person(project, "lead")), wish, "reject")
    assert states() == ["accepted"]
    assert Demonstration.objects.count() == 1


def test_a_text_given_back_goes_to_someone_else_without_what_was_written(
    page, wish, client_for, bob
):
    page.post(f"{WRITE}{wish.pk}/back", {"text": "My own half"})
    html = client_for(bob).get(WRITE).content.decode()
    assert "Why is the sky blue?" in html
    assert "My own half" not in html
    assert Writing.objects.get(state="abandoned").text == "My own half"


def test_a_text_long_not_touched_is_open_again(page, wish, client_for, bob):
    Writing.objects.update(saved_at=now() - drafts.LEASE - timedelta(minutes=1))
    client_for(bob).get(WRITE)
    assert states() == ["abandoned", "writing"]


def test_a_late_text_counts_while_nobody_else_writes(page, wish, project):
    Writing.objects.update(saved_at=now() - drafts.LEASE - timedelta(minutes=1))
    drafts.expire(project)
    hand_in(page, wish)
    assert states() == ["submitted"]
    assert Writing.objects.get().text == "Because of Rayleigh scattering."


def test_a_late_text_is_kept_when_somebody_else_writes(page, wish, client_for, bob):
    Writing.objects.update(saved_at=now() - drafts.LEASE - timedelta(minutes=1))
    client_for(bob).get(WRITE)
    hand_in(page, wish)
    assert states() == ["abandoned", "writing"]
    assert Writing.objects.get(state="abandoned").text == "Because of Rayleigh scattering."


def test_pausing_a_person_opens_their_wish_again(page, wish, project, admin):
    actor = Membership.objects.get(project=project, role="admin").user
    projects.pause(actor, Membership.objects.get(user__name="Alice"))
    assert states() == ["abandoned", "open"]
    assert "paused" in page.get(WRITE).content.decode()


def test_the_writer_may_start_from_the_answer_ranked_best(project, admin, client_for, alice, bob):
    task = make_task(project, texts=["so-so", "splendid", "poor"])
    make_ranking(task, bob, (2, 1, 3))
    admin.post(f"{WRITE}ask/demonstration/", ASK | {"from_best": "on"})
    assert "splendid" in client_for(alice).get(WRITE).content.decode()


def test_wishes_are_taken_back(admin, wish, project):
    admin.post(f"{WRITE}withdraw")
    assert not Writing.objects.exists()


def test_a_stranger_touches_nothing(page, wish, client_for, bob, stranger):
    for person in (bob, stranger):
        assert hand_in(client_for(person), wish).status_code == 404
        assert client_for(person).post(f"{WRITE}{wish.pk}/save", {"text": "x"}).status_code == 404


def test_reviews_take_the_same_queries_for_one_and_for_many(
    page, wish, admin, project, django_assert_num_queries
):
    hand_in(page, wish)
    admin.get(f"{WRITE}review/")
    with django_assert_num_queries(6):
        admin.get(f"{WRITE}review/")
    lead = Membership.objects.filter(project=project, role="admin").get().user
    Writing.objects.bulk_create(
        Writing(project=project, kind="prompt", state="submitted", labeler=lead, submitted_at=now())
        for _ in range(5)
    )
    with django_assert_num_queries(6):
        admin.get(f"{WRITE}review/")


def test_a_reviewer_sees_the_lines_of_a_brief(project, admin, alice):
    written = Writing.objects.create(
        project=project, kind="prompt", brief="One\ntwo", state="submitted", labeler=alice, text="x"
    )

    assert "One<br>two" in admin.get(f"{WRITE}review/{written.pk}/").content.decode()
