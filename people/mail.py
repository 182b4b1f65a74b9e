"""E-mail: each message is a Letter row, saved in the transaction of the action that sends it.

A worker sends it, and retries when that fails. So no page waits for a mail server, and a restart
loses nothing. The text may hold an invitation or reset link: it is deleted once the letter is sent
or given up, and a letter is not sent after its link has expired.
"""

from __future__ import annotations

import logging
import smtplib
import threading
from datetime import timedelta
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.timezone import now
from django.utils.translation import gettext as _

from people import outbox
from people.models import Letter

log = logging.getLogger(__name__)
State = Letter.State
MINUTE, HOUR = 60, 3600
# seconds until the next attempt
RETRY_SECONDS = (10, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR)
BATCH = 20  # letters per connection to the mail server
ERROR_LENGTH = 300  # characters of an error that are stored
UNREACHABLE = (
    smtplib.SMTPConnectError,
    smtplib.SMTPServerDisconnected,
    smtplib.SMTPAuthenticationError,
)
_sending = threading.Lock()


def is_sent() -> bool:
    """Whether e-mail is sent; otherwise it is only printed for the operator."""
    return not settings.EMAIL_BACKEND.endswith(("console.EmailBackend", "dummy.EmailBackend"))


@transaction.atomic
def send(
    to: str,
    template: str,
    context: dict,
    valid_for: timedelta,
    language: str | None = None,
) -> Letter:
    """Queue a letter, rendered in the recipient's language. Line 1 of the template is the subject.

    `valid_for`: how long its links are valid; the letter is not sent later than that.
    """
    with translation.override(language or translation.get_language()):
        subject, body = render_to_string(template, context).strip().split("\n", 1)
    fields = {"subject": subject, "body": body.strip() + "\n", "useful_until": now() + valid_for}
    letter = Letter.objects.create(to=to, **fields)
    transaction.on_commit(wake)
    return letter


def wake() -> None:
    """Tell a worker to send what is due."""
    outbox.wake("mail.deliver")


def wake_waiting() -> None:
    """Wake a worker where a letter is due. The sweep calls this."""
    if outbox.due(Letter).exists():
        wake()


def deliver() -> None:
    """Send all letters that are due. The Celery task calls this."""
    outbox.drain(Letter, _sending, send_some)


def send_some() -> bool:
    """Send up to BATCH letters. False if the mail server is unreachable: the others wait."""
    connection = get_connection()
    try:
        waiting = outbox.due(Letter).order_by("next_at", "pk").values_list("pk", flat=True)
        for pk in list(waiting[:BATCH]):
            if outbox.claim(Letter, pk):
                letter = Letter.objects.get(pk=pk)
                error = attempt(connection, letter)
                conclude(letter, error)
                if is_unreachable(error):
                    return False
    finally:
        close(connection)
    return True


# Sending


class TooLate(Exception):
    """The letter's link has expired."""


def attempt(connection: BaseEmailBackend, letter: Letter) -> Exception | None:
    """Send the letter. Returns the error, or None where it was sent."""
    if letter.useful_until <= now():
        return TooLate(_("It could not be sent before its link expired."))
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "podium"
    message = EmailMessage(letter.subject, letter.body, to=[letter.to], connection=connection)
    message.extra_headers["Message-ID"] = f"<{letter.uuid}@{domain}>"  # the same for each attempt
    try:
        message.send()
    except Exception as error:  # stored with this letter; must not stop the others
        close(connection)
        return error
    return None


def close(connection: BaseEmailBackend) -> None:
    """Close the connection; the next letter opens it again."""
    try:
        connection.close()
    except (OSError, smtplib.SMTPException):
        pass


def conclude(letter: Letter, error: Exception | None) -> None:
    """Store the result of an attempt, and schedule the next one."""
    delay = RETRY_SECONDS[min(letter.attempts, len(RETRY_SECONDS)) - 1]
    next_at = now() + timedelta(seconds=delay)
    gives_up = letter.attempts > len(RETRY_SECONDS) or next_at > letter.useful_until
    if error is None:
        outbox.write(letter, state=State.SENT, next_at=None, body="", sent_at=now(), error="")
    elif is_final(error) or gives_up:
        log.error("Gave up sending an e-mail (the page Accounts shows which): %s", reason(error))
        outbox.write(letter, state=State.GIVEN_UP, next_at=None, body="", error=reason(error))
    else:
        log.warning(
            "An e-mail was not sent and will be retried. Check EMAIL_URL: %s", reason(error)
        )
        outbox.write(letter, state=State.FAILED, next_at=next_at, error=reason(error))


def is_final(error: Exception) -> bool:
    """Whether a retry is useless: the mail server rejects it permanently, or its link expired."""
    if isinstance(error, TooLate):
        return True
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _text in error.recipients.values())
    return isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500


def is_unreachable(error: Exception | None) -> bool:
    """Whether the mail server is down or refuses the log-in: all other letters would fail too."""
    if isinstance(error, smtplib.SMTPException):  # a subclass of OSError
        return isinstance(error, UNREACHABLE)
    return isinstance(error, OSError)


def reason(error: Exception) -> str:
    """The text of the error that is stored and logged."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        refusals = error.recipients.values()
        replies = [f"{code} {text.decode(errors='replace')}" for code, text in refusals]
        return "; ".join(replies)[:ERROR_LENGTH]
    return (str(error) or type(error).__name__)[:ERROR_LENGTH]


def unsent() -> QuerySet[Letter]:
    """Failed letters, newest first, for administrators of the site."""
    failed = Letter.objects.filter(state__in=[State.FAILED, State.GIVEN_UP])
    return failed.order_by("-created_at", "-pk")
