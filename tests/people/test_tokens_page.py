"""The page of one's tokens: made, shown once, revoked."""

import re

import pytest
from django.core.management import CommandError, call_command

from people import accounts, tokens
from people.models import AuditEvent, Token
from tests.factories import PASSWORD, make_person

pytestmark = pytest.mark.django_db
FORM = {
    "name": "notebook",
    "scopes": ["read", "launch"],
    "days": "30",
    "key": "5f0f6a04-9b53-4a28-8f2e-0d8a6a7d2c11",
}


def test_a_new_token_is_shown_once(client_for, alice):
    browser = client_for(alice)
    first, again = (browser.post("/account/tokens/", FORM).content.decode() for _ in range(2))

    text = re.search(r"podium_[\w-]{30,}", first).group()
    assert tokens.find(text).scopes == ["read", "launch"]
    assert text not in again
    assert text not in browser.get("/account/tokens/").content.decode()
    assert Token.objects.count() == 1


def test_a_token_without_a_scope_is_refused_at_the_field(client_for, alice):
    answer = client_for(alice).post("/account/tokens/", FORM | {"scopes": []})
    assert answer.status_code == 422
    assert answer.context["form"].errors["scopes"]


def test_a_revoked_token_leaves_the_list_and_lets_nobody_in(client_for, alice, bob):
    token, text = tokens.make(alice, "notebook", ["read"], 30)

    assert client_for(bob).post(f"/account/tokens/{token.pk}/revoke").status_code == 404
    page = (
        client_for(alice).post(f"/account/tokens/{token.pk}/revoke", follow=True).content.decode()
    )
    assert "The token “notebook” was revoked" in page
    assert tokens.find(text) is None


def test_one_too_many_is_refused_in_words(client_for, alice, monkeypatch):
    monkeypatch.setattr(tokens, "MOST", 0)
    assert "Revoke one first" in client_for(alice).post("/account/tokens/", FORM).content.decode()


# With a new password

NEW = {"new_password1": "a river in spring", "new_password2": "a river in spring"}
CHANGE = NEW | {"old_password": PASSWORD}


def test_a_change_of_the_password_asks_about_tokens(client_for, alice):
    _token, text = tokens.make(alice, "notebook", ["read"], 30)
    browser = client_for(alice)
    page = browser.get("/account/password/")
    assert page.context["form"]["revoke_tokens"].initial is True

    browser.post("/account/password/", CHANGE | {"revoke_tokens": "on"})
    assert tokens.find(text) is None
    event = AuditEvent.objects.get(verb="revoke all tokens")
    assert (event.actor, event.data) == (alice, {"count": 1})


def test_tokens_that_one_keeps_work_on(client_for, alice, bob):
    _token, text = tokens.make(alice, "notebook", ["read"], 30)
    _token, of_another = tokens.make(bob, "notebook", ["read"], 30)
    client_for(alice).post("/account/password/", CHANGE)
    client_for(bob).post("/account/password/", CHANGE | {"revoke_tokens": "on"})

    assert tokens.find(text) is not None
    assert tokens.find(of_another) is None


def test_who_has_no_tokens_is_not_asked(client_for, alice):
    page = client_for(alice).get("/account/password/")

    assert "revoke_tokens" not in page.context["form"].fields


def test_a_forgotten_password_asks_too(client, alice, letters):
    _token, text = tokens.make(alice, "notebook", ["read"], 30)
    client.post("/password/", {"email": alice.email})
    link = re.search(r"http://testserver(/password/\S+)", letters()[0].body)[1]
    page = client.get(link, follow=True)
    assert page.context["form"]["revoke_tokens"].initial is True

    client.post(page.redirect_chain[-1][0], NEW | {"revoke_tokens": "on"})
    assert tokens.find(text) is None


def test_a_password_made_by_an_administrator_revokes_tokens(client_for, alice):
    _token, text = tokens.make(alice, "notebook", ["read"], 30)
    root = make_person(is_staff=True)
    client_for(root).post(f"/accounts/{alice.pk}/password")

    assert tokens.find(text) is None
    assert AuditEvent.objects.get(verb="revoke all tokens").actor == root


# At the command line


def test_the_command_prints_a_token_that_lets_its_owner_in(alice, capsys):
    call_command("token", "Alice@example.org", scope=["label"])
    found = tokens.find(capsys.readouterr().out.strip())

    assert (found.user, found.scopes) == (alice, ["label"])


def test_the_command_makes_none_for_somebody_paused(alice):
    accounts.pause(None, alice)
    with pytest.raises(CommandError, match="No active account"):
        call_command("token", alice.email)
