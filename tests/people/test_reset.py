"""A forgotten password: a link by e-mail, which works once and tells nobody who has an account."""

import re

import pytest
from django.test import Client

from people.accounts import RESETS_PER_HOUR
from people.models import AuditEvent, User
from tests.factories import PASSWORD, make_person

pytestmark = pytest.mark.django_db
NEW = {"new_password1": "a river in spring", "new_password2": "a river in spring"}


@pytest.fixture
def ann():
    return make_person(name="ann")


def ask(email="ann@example.org"):
    return Client().post("/password/", {"email": email})


def choose(client, letter, **password):
    """Open the link of the letter, which leads on to an address without its token, and fill in the
    form there.
    """
    link = re.search(r"http://testserver(/password/\S+)", letter.body)[1]
    page = client.get(link, follow=True)
    return client.post(page.redirect_chain[-1][0], NEW | password) if page.redirect_chain else page


def test_the_link_changes_the_password(client, ann, letters):
    ask("Ann@Example.org")
    choose(client, letters()[0])

    assert (
        client.post("/login/", {"username": ann.email, "password": "a river in spring"}).status_code
        == 302
    )


def test_the_answer_does_not_tell_who_has_an_account(ann, letters):
    known, unknown = ask(), ask("nobody@example.org")

    assert (
        (known.status_code, known.url)
        == (unknown.status_code, unknown.url)
        == (302, "/password/sent")
    )
    assert [letter.to for letter in letters()] == [["ann@example.org"]]


def test_a_new_password_ends_the_other_sessions(client, client_for, ann, letters):
    elsewhere = client_for(ann)
    ask()
    choose(client, letters()[0])

    assert elsewhere.get("/").status_code == 302


def test_a_link_works_once(client, ann, letters):
    ask()
    choose(client, letters()[0])

    assert "is no longer valid" in choose(Client(), letters()[0]).content.decode()


def test_an_old_link_works_no_more(client, ann, letters, settings):
    ask()
    settings.PASSWORD_RESET_TIMEOUT = -1

    assert "is no longer valid" in choose(client, letters()[0]).content.decode()


def test_a_weak_password_is_refused(client, ann, letters):
    ask()
    response = choose(client, letters()[0], new_password1="short", new_password2="short")

    assert "new_password2" in response.context["form"].errors
    assert User.objects.get(pk=ann.pk).check_password(PASSWORD)


def test_a_paused_account_gets_no_link(letters):
    make_person(name="ann", state=User.State.PAUSED)
    ask()

    assert letters() == []


def test_nobody_is_flooded_with_links(ann, letters):
    answers = {ask().url for _time in range(RESETS_PER_HOUR + 3)}

    assert answers == {"/password/sent"}
    assert len(letters()) == RESETS_PER_HOUR


def test_a_new_password_lifts_the_lock_of_the_old(client, ann, letters, settings):
    for _time in range(settings.LOGIN_FAILURES):
        client.post("/login/", {"username": ann.email, "password": "guess"})
    ask()
    choose(client, letters()[0])

    assert (
        client.post("/login/", {"username": ann.email, "password": "a river in spring"}).status_code
        == 302
    )


def test_it_leaves_events(client, ann, letters):
    ask()
    choose(client, letters()[0])

    verbs = list(AuditEvent.objects.filter(actor=ann).order_by("pk").values_list("verb", flat=True))
    assert verbs == ["ask for password reset", "reset password"]


def test_the_log_in_page_leads_there(client, db):
    assert 'href="/password/"' in client.get("/login/").content.decode()


def test_a_site_that_sends_no_mail_says_so(client, db, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

    assert "sends no e-mail" in client.get("/password/").content.decode()
