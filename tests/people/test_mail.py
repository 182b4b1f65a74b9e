"""E-mail that fails goes again later; what fails for good is shown to an administrator, without its
text.
"""

import smtplib
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils.timezone import now

from people import mail, outbox, retention
from people.models import Letter
from tests.factories import make_person

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
AWAY = ConnectionRefusedError(111, "Connection refused")
NOBODY = smtplib.SMTPRecipientsRefused({"ann@example.org": (550, b"No such user here")})


class MailServer:
    """Says one of `replies` to each letter, an error or None; then takes all."""

    def __init__(self):
        self.replies, self.taken = [], []

    def send_messages(self, messages):
        reply = self.replies.pop(0) if self.replies else None
        if reply is not None:
            raise reply
        self.taken += messages

    def close(self):
        pass


@pytest.fixture
def server(monkeypatch):
    server = MailServer()
    monkeypatch.setattr(mail, "get_connection", lambda: server)
    return server


@pytest.fixture
def ann():
    return make_person(name="ann")


def ask(email="ann@example.org"):
    """A letter with a link for a new password."""
    return Client().post("/password/", {"email": email})


def pass_time(**time):
    """What waits for its time is due as if so much time had passed."""
    for letter in Letter.objects.all():
        until = letter.useful_until - timedelta(**time)
        next_at = letter.next_at and letter.next_at - timedelta(**time)
        Letter.objects.filter(pk=letter.pk).update(next_at=next_at, useful_until=until)


def test_no_page_waits_for_the_mail_server(ann, server):
    ask()

    assert server.taken == []
    assert Letter.objects.get().state == "waiting"


def test_a_letter_that_fails_is_sent_later(ann, server):
    server.replies = [AWAY, smtplib.SMTPServerDisconnected("bye")]
    ask()
    body = Letter.objects.get().body
    assert "/password/" in body

    mail.deliver()
    letter = Letter.objects.get()
    assert (letter.state, letter.attempts, letter.body) == ("failed", 1, body)
    assert "Connection refused" in letter.error

    mail.deliver()
    assert Letter.objects.get().attempts == 1, "it is not tried again at once"

    for attempts in (2, 3):
        pass_time(minutes=2)
        mail.deliver()
        assert Letter.objects.get().attempts == attempts
    [message] = server.taken
    assert (message.to, message.body) == (["ann@example.org"], body)


def test_each_attempt_is_known_as_the_same_letter(ann, server):
    ask()
    letter = Letter.objects.get()
    mail.attempt(server, letter)
    mail.attempt(server, Letter.objects.get())

    first, second = (message.message()["Message-ID"] for message in server.taken)
    assert first == second == f"<{letter.uuid}@localhost>"


def test_the_text_is_gone_once_it_is_sent(ann, server):
    ask()
    mail.deliver()

    letter = Letter.objects.get()
    assert (letter.state, letter.body, letter.next_at) == ("sent", "", None)
    with pytest.raises(IntegrityError), transaction.atomic():
        Letter.objects.update(body="a link")


@pytest.mark.parametrize("error", [NOBODY, smtplib.SMTPDataError(554, b"Refused as spam")])
def test_a_letter_that_the_server_will_never_have_is_given_up_at_once(ann, server, error):
    server.replies = [error]
    ask()
    mail.deliver()

    letter = Letter.objects.get()
    assert (letter.state, letter.attempts, letter.body) == ("given_up", 1, "")


def test_a_full_mailbox_is_tried_again(ann, server):
    server.replies = [smtplib.SMTPRecipientsRefused({"ann@example.org": (452, b"Mailbox full")})]
    ask()
    mail.deliver()

    assert Letter.objects.get().state == "failed"


def test_no_letter_is_sent_after_its_links_have_ended(ann, server, settings):
    settings.PASSWORD_RESET_TIMEOUT = 600
    server.replies = [AWAY] * 9
    ask()
    mail.deliver()
    pass_time(minutes=11)
    mail.deliver()

    letter = Letter.objects.get()
    assert (letter.state, letter.attempts, server.taken) == ("given_up", 2, [])
    assert letter.error == "It could not be sent before its link expired."


def test_the_last_attempt_comes_before_the_links_end(ann, server, settings):
    settings.PASSWORD_RESET_TIMEOUT = 3600
    server.replies = [AWAY] * 99
    ask()
    for _ in range(40):
        mail.deliver()
        pass_time(minutes=1)

    assert Letter.objects.get().state == "given_up"
    assert len(server.replies) == 99 - 5  # at once, then as RETRY_SECONDS says: within the hour


def test_while_the_mail_server_is_away_one_letter_asks_whether_it_is_back(server):
    server.replies = [AWAY]
    for number in range(5):
        mail.send(f"p{number}@example.org", "people/mail/invitation.txt", {"user": "Ann"}, DAY)

    mail.deliver()
    assert (server.replies, server.taken) == ([], [])

    mail.deliver()
    assert len(server.taken) == 4


def test_two_workers_send_a_letter_once(ann):
    ask()
    letter = Letter.objects.get()

    assert outbox.claim(Letter, letter.pk)
    assert not outbox.claim(Letter, letter.pk)


def test_a_letter_whose_worker_was_killed_is_sent_again(ann, server):
    ask()
    outbox.claim(Letter, Letter.objects.get().pk)
    mail.deliver()
    assert server.taken == []

    Letter.objects.update(leased_until=now() - timedelta(seconds=1))
    mail.deliver()
    assert len(server.taken) == 1


def test_who_lost_a_letter_writes_nothing_over_who_took_it(ann, server):
    ask()
    slow = Letter.objects.get()
    for _ in range(2):
        outbox.claim(Letter, slow.pk)
        Letter.objects.update(leased_until=now() - timedelta(seconds=1))
    mail.conclude(slow, NOBODY)

    assert Letter.objects.get().state == "waiting"


def test_a_lost_message_is_made_up_for_by_the_sweep(ann, monkeypatch):
    from workers.queues import sweep

    sent = []
    monkeypatch.setattr("celery.current_app.send_task", lambda name, **_: sent.append(name))
    sweep()
    assert "mail.deliver" not in sent

    ask()
    sweep()
    assert "mail.deliver" in sent


def test_a_worker_is_woken_whether_or_not_there_is_such_an_account(
    ann, monkeypatch, django_capture_on_commit_callbacks
):
    """The answer would tell by its pace who has one."""
    sent = []
    monkeypatch.setattr("celery.current_app.send_task", lambda name, **_: sent.append(name))
    with django_capture_on_commit_callbacks(execute=True):
        ask()
    with django_capture_on_commit_callbacks(execute=True):
        ask("nobody@example.org")

    assert sent == ["mail.deliver"] * 2
    assert Letter.objects.count() == 1


def test_an_administrator_sees_what_failed_and_why_but_no_link(client_for, ann, server):
    server.replies = [NOBODY]
    ask()
    link = Letter.objects.get().body.split("http://testserver")[1].split()[0]
    root = client_for(make_person(name="root", is_staff=True))
    assert "E-mail that could not be sent" not in root.get("/accounts/").content.decode()

    mail.deliver()
    page = root.get("/accounts/").content.decode()
    assert "E-mail that could not be sent" in page
    assert "550 No such user here" in page
    assert "ann@example.org" in page

    server.replies = [AWAY]
    ask()
    mail.deliver()
    link = Letter.objects.get(state="failed").body.split("http://testserver")[1].split()[0]
    assert "failed: is sent again later" in root.get("/accounts/").content.decode()
    for letter in Letter.objects.all():
        assert (
            link not in root.get(f"/back-office/people/letter/{letter.pk}/change/").content.decode()
        )


def test_old_letters_are_forgotten(ann, settings):
    ask()
    Letter.objects.update(created_at=now() - timedelta(days=settings.KEEP_DAYS + 1))

    retention.forget()

    assert not Letter.objects.exists()
