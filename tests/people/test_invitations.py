"""Invitations: who may make them, what their link does, and when it stops."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils.timezone import now

from people import invitations
from people.access import Refused
from people.models import AuditEvent, Invitation, Membership, User
from tests.factories import PASSWORD, make_person, make_project

pytestmark = pytest.mark.django_db
DORA = "dora@example.org"
NEW = {
    "name": "Dora",
    "zone": "Europe/Berlin",
    "password1": "a river in spring",
    "password2": "a river in spring",
}


@pytest.fixture
def root():
    return make_person(name="root", is_staff=True)


@pytest.fixture
def invited(project, carol):
    """Dora's invitation and where its link leads."""
    invitation, token = invitations.invite(carol, DORA, project, "lead")
    return invitation, f"/join/{token}/"


def link_in(text) -> str:
    return re.search(r"http://testserver(/join/[\w-]+/)", text)[1]


def text_of(response) -> str:
    return response.content.decode()


def expire(invitation):
    Invitation.objects.filter(pk=invitation.pk).update(expires_at=now())


# Inviting


def test_who_has_no_account_is_invited_by_a_link_that_is_shown_and_mailed(
    client_for, carol, letters
):
    page = text_of(
        client_for(carol).post("/p/demo/people/", {"key": uuid4(), "email": DORA, "role": "lead"})
    )

    (letter,) = letters()
    assert letter.to == [DORA]
    assert letter.subject == "Your invitation to Demo"
    assert link_in(letter.body) == link_in(page)


def test_only_the_hash_of_the_link_is_kept(client_for, carol):
    page = text_of(client_for(carol).post("/p/demo/people/", {"email": DORA, "role": "lead"}))
    token = link_in(page).split("/")[2]

    assert token not in str(Invitation.objects.values().get())
    assert token not in str(list(AuditEvent.objects.values()))


def test_the_same_form_twice_is_one_invitation_and_shows_no_link_again(client_for, carol, letters):
    browser, form = client_for(carol), {"key": uuid4(), "email": DORA, "role": "lead"}
    first, second = (text_of(browser.post("/p/demo/people/", form)) for _copy in range(2))

    assert "/join/" in first
    assert "was sent before" in second
    assert "/join/" not in second
    assert len(letters()) == 1


def test_open_invitations_are_listed_with_their_end(client_for, carol, invited):
    page = text_of(client_for(carol).get("/p/demo/people/"))

    assert DORA in page
    assert f"{invited[0].expires_at:%-d %b %Y}" in page


def test_an_invitation_lasts_as_long_as_the_setting_says(project, carol, settings):
    settings.INVITATION_DAYS = 2
    invitation, _token = invitations.invite(carol, DORA, project)

    assert timedelta(days=1) < invitation.expires_at - now() <= timedelta(days=2)


def test_a_new_link_replaces_the_old(client_for, carol, invited):
    invitation, old = invited
    page = text_of(client_for(carol).post(f"/invitations/{invitation.pk}/renew"))

    assert Client().get(old).status_code == 410
    assert Client().get(link_in(page)).status_code == 200
    assert Invitation.objects.count() == 1


def test_who_is_invited_twice_has_one_invitation_with_the_later_role(project, carol, invited):
    invitations.invite(carol, "Dora@Example.org ", project, "researcher")

    assert Invitation.objects.get().role == "researcher"


def test_what_was_withdrawn_is_not_renewed(client_for, carol, invited):
    invitations.withdraw(carol, invited[0])
    page = client_for(carol).post(f"/invitations/{invited[0].pk}/renew", follow=True)

    assert "Create a new one" in text_of(page)
    assert not invitations.open_to(invited[0].project).exists()


def test_only_the_projects_admins_manage_its_invitations(client_for, carol, alice, root, invited):
    for deed in ("renew", "withdraw"):
        address = f"/invitations/{invited[0].pk}/{deed}"
        assert client_for(alice).post(address).status_code == 403
        assert client_for(root).post(address).status_code == 404
        assert client_for(carol).get(address).status_code == 405
    assert client_for(carol).post(f"/invitations/{invited[0].pk}/withdraw").url == "/p/demo/people/"


def test_administrators_invite_without_a_project(client_for, root, carol):
    page = text_of(client_for(root).post("/accounts/invite", {"key": uuid4(), "email": DORA}))
    stranger = Client()
    stranger.post(link_in(page), NEW)

    assert User.objects.get(email=DORA).state == User.State.ACTIVE
    assert stranger.get("/").status_code == 200
    assert not Membership.objects.filter(user__email=DORA).exists()


def test_an_invitation_to_the_site_is_its_administrators_to_manage(client_for, root, carol):
    invitation, _token = invitations.invite(root, DORA, None)
    address = f"/invitations/{invitation.pk}/withdraw"

    assert client_for(carol).post(address).status_code == 403
    assert DORA in text_of(client_for(root).get("/accounts/"))
    assert client_for(root).post(address).url == "/accounts/"


def test_who_has_an_account_needs_no_invitation_to_the_site(client_for, root, alice):
    response = client_for(root).post("/accounts/invite", {"email": "Alice@example.org"})

    assert (response.status_code, list(response.context["form"].errors)) == (422, ["email"])


def test_an_archived_project_changes_no_invitation(client_for, carol, invited):
    invited[0].project.state = "archived"
    invited[0].project.save()

    assert client_for(carol).post(f"/invitations/{invited[0].pk}/withdraw").status_code == 403


# Coming in


def test_signing_up_makes_the_account_and_opens_the_project(client, invited):
    response = client.post(invited[1], NEW)

    dora = User.objects.get(email=DORA)
    assert response.url == "/p/demo/"
    assert (dora.name, dora.zone, dora.state) == ("Dora", "Europe/Berlin", User.State.ACTIVE)
    assert dora.memberships.get().role == "lead"
    assert client.get("/p/demo/rank/").status_code == 200


def test_opening_the_link_uses_nothing_up(client, invited):
    client.get(invited[1])

    assert Invitation.objects.get().state == "open"
    assert not User.objects.filter(email=DORA).exists()


def test_a_link_is_used_once(invited):
    Client().post(invited[1], NEW)
    second = Client().post(
        invited[1], NEW | {"password1": "another river", "password2": "another river"}
    )

    assert second.status_code == 410
    assert "already used" in text_of(second)
    assert User.objects.filter(email=DORA).count() == 1


def test_the_same_sign_up_twice_gets_the_first_result(invited):
    first, second = Client().post(invited[1], NEW), Client().post(invited[1], NEW)

    assert first.url == second.url == "/p/demo/"
    assert Membership.objects.filter(user__email=DORA).count() == 1


@pytest.mark.parametrize("password", ["short", "dora@example.org", "password1234"])
def test_a_weak_password_is_refused_at_its_field(client, invited, password):
    response = client.post(invited[1], NEW | {"password1": password, "password2": password})

    assert (response.status_code, list(response.context["form"].errors)) == (422, ["password2"])
    assert Invitation.objects.get().state == "open"


def test_a_link_that_still_works_is_not_written_to_the_log(client, invited, caplog):
    client.post(invited[1], NEW | {"password1": "short"})

    assert invited[1] not in caplog.text


def test_who_has_an_account_logs_in_and_then_joins(client, invited):
    dora = make_person(name="dora")
    page = client.get(invited[1])
    assert f'href="/login/?next={invited[1]}"' in text_of(page)

    back = client.post("/login/", {"username": DORA, "password": PASSWORD, "next": invited[1]})
    assert back.url == invited[1]
    assert "Join" in text_of(client.get(invited[1]))
    assert client.post(invited[1]).url == "/p/demo/"
    assert dora.memberships.get().role == "lead"


def test_joining_twice_gets_the_first_result(client_for, invited):
    browser = client_for(make_person(name="dora"))

    assert browser.post(invited[1]).url == browser.post(invited[1]).url == "/p/demo/"


def test_somebody_else_does_not_come_in_by_it(client_for, stranger, invited):
    browser = client_for(stranger)

    assert "Log out first" in text_of(browser.get(invited[1]))
    assert browser.post(invited[1]).status_code == 410
    assert not stranger.memberships.exists()


def test_an_expired_link_lets_nobody_in(client, invited):
    expire(invited[0])

    assert "has expired" in text_of(client.get(invited[1]))
    assert client.post(invited[1], NEW).status_code == 410
    assert not User.objects.filter(email=DORA).exists()


def test_an_expired_invitation_can_be_renewed(client_for, carol, invited):
    expire(invited[0])
    assert "expired" in text_of(client_for(carol).get("/p/demo/people/"))
    page = text_of(client_for(carol).post(f"/invitations/{invited[0].pk}/renew"))

    assert Client().post(link_in(page), NEW).url == "/p/demo/"


def test_a_withdrawn_link_lets_nobody_in(client, client_for, carol, invited):
    client_for(carol).post(f"/invitations/{invited[0].pk}/withdraw")

    assert "was withdrawn" in text_of(client.get(invited[1]))
    assert client.post(invited[1], NEW).status_code == 410


def test_a_made_up_link_says_so(client, db):
    assert client.get("/join/made-up/").status_code == 410


def test_a_link_into_a_closed_project_says_so(client, invited):
    invited[0].project.state = "archived"
    invited[0].project.save()

    assert "is archived" in text_of(client.get(invited[1]))


def test_who_was_added_meanwhile_keeps_their_role(project, carol, invited):
    dora = make_person(project, "researcher", "dora")
    invitations.accept(dora, invited[0])

    assert dora.memberships.get().role == "researcher"


def test_who_is_in_already_is_not_invited(project, carol, alice):
    with pytest.raises(Refused):
        invitations.invite(carol, alice.email, project)


def test_every_deed_leaves_an_event(client, project, carol, invited):
    client.post(invited[1], NEW)
    second, _token = invitations.invite(carol, "emil@example.org", project)
    invitations.withdraw(carol, second)

    verbs = list(AuditEvent.objects.order_by("pk").values_list("verb", flat=True))
    assert verbs == [
        "invite",
        "create account",
        "accept invitation",
        "log in",
        "invite",
        "withdraw invitation",
    ]


@pytest.mark.parametrize("count", [1, 6])
def test_the_people_page_costs_the_same_however_many_are_invited(
    client_for, project, carol, count, django_assert_num_queries
):
    for number in range(count):
        make_person(project)
        invitations.invite(carol, f"guest{number}@example.org", project)
    invitations.invite(carol, DORA, make_project())
    browser = client_for(carol)

    with django_assert_num_queries(10):
        browser.get("/p/demo/people/")
