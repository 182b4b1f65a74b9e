"""What an administrator of the site does with accounts."""

import re
from uuid import uuid4

import pytest

from labeling.models import Assignment
from labeling.queue import claims
from people import accounts
from people.access import Refused
from people.models import AuditEvent, Membership, User
from tests.factories import make_person, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def root():
    return make_person(name="root", is_staff=True)


def create(client, email="dora@example.org", key=None):
    return client.post("/accounts/new", {"key": key or uuid4(), "email": email, "name": "Dora"})


def test_a_new_account_gets_a_random_password_that_works(client, client_for, root):
    page = create(client_for(root)).content.decode()
    password = re.search(r'class="secret">([^<]+)<', page)[1]

    assert (
        client.post("/login/", {"username": "dora@example.org", "password": password}).status_code
        == 302
    )


def test_the_same_form_twice_is_one_account_and_shows_no_password_again(client_for, root):
    browser, key = client_for(root), uuid4()
    create(browser, key=key)
    page = create(browser, key=key).content.decode()

    assert User.objects.filter(email="dora@example.org").count() == 1
    assert "was sent before" in page
    assert "secret" not in page


def test_a_known_email_is_refused_at_its_field(client_for, root):
    response = create(client_for(root), email="ROOT@example.org")

    assert response.status_code == 422
    assert "email" in response.context["form"].errors


def test_pausing_ends_every_session_at_once(client_for, root):
    dora = make_person()
    browser = client_for(dora)
    client_for(root).post(f"/accounts/{dora.pk}/pause")

    assert browser.get("/").status_code == 302
    accounts.activate(root, dora)
    assert browser.get("/").status_code == 302  # the old session does not come back to life


def test_pausing_returns_leases(client_for, root, project, alice):
    make_task(project)
    held = claims.next_for(Membership.objects.select_related("project", "user").get(user=alice))
    accounts.pause(root, alice)

    held.refresh_from_db()
    assert held.state == Assignment.State.RETURNED


def test_nobody_pauses_their_own_account(root):
    with pytest.raises(Refused):
        accounts.pause(root, root)


def test_the_last_administrator_keeps_their_role(client_for, root):
    response = client_for(root).post(f"/accounts/{root.pk}/", {"name": "Root", "zone": "UTC"})

    root.refresh_from_db()
    assert (response.status_code, list(response.context["form"].errors)) == (422, ["is_staff"])
    assert root.is_staff


def test_a_paused_administrator_does_not_count_as_one(root):
    paused = make_person(is_staff=True, state=User.State.PAUSED)
    with pytest.raises(Refused):
        accounts.change(root, root, is_staff=False)

    accounts.activate(root, paused)
    accounts.change(root, root, is_staff=False)
    assert not User.objects.get(pk=root.pk).is_staff


def test_two_administrators_who_pause_each_other_leave_one(root):
    other = make_person(is_staff=True)
    accounts.pause(root, other)
    with pytest.raises(Refused):
        accounts.pause(other, root)


def test_a_new_password_replaces_the_old(client, client_for, root):
    dora = make_person(name="dora")
    page = client_for(root).post(f"/accounts/{dora.pk}/password").content.decode()
    password = re.search(r'class="secret">([^<]+)<', page)[1]

    assert client.post("/login/", {"username": dora.email, "password": password}).status_code == 302


def test_editing_changes_what_was_filled_in(client_for, root):
    dora = make_person()
    client_for(root).post(
        f"/accounts/{dora.pk}/", {"name": "Dora D.", "zone": "UTC", "is_staff": "on"}
    )

    dora.refresh_from_db()
    assert (dora.name, dora.is_staff) == ("Dora D.", True)


def test_every_deed_leaves_an_event(root):
    dora, _password = accounts.create(root, "dora@example.org")
    accounts.change(root, dora, name="D.")
    accounts.pause(root, dora)
    accounts.activate(root, dora)
    accounts.new_password(root, dora)

    verbs = list(
        AuditEvent.objects.filter(actor=root).order_by("pk").values_list("verb", flat=True)
    )
    assert verbs == [
        "create account",
        "change account",
        "pause account",
        "activate account",
        "new password",
    ]
