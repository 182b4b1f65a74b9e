"""The page of one's tokens: made, shown once, revoked."""

import re

import pytest
from django.core.management import CommandError, call_command

from people import accounts, tokens
from people.models import Token

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


# At the command line


def test_the_command_prints_a_token_that_lets_its_owner_in(alice, capsys):
    call_command("token", "Alice@example.org", scope=["label"])
    found = tokens.find(capsys.readouterr().out.strip())

    assert (found.user, found.scopes) == (alice, ["label"])


def test_the_command_makes_none_for_somebody_paused(alice):
    accounts.pause(None, alice)
    with pytest.raises(CommandError, match="No active account"):
        call_command("token", alice.email)
