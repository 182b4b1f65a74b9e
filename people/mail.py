"""E-mail: a letter is a row, written in the transaction that it belongs to. A worker sends it, and
again later while that fails.

No page waits for a mail server, and a restart loses nothing. The text may hold a link that lets
somebody in: it is emptied once the letter is sent or given up, and no letter is sent after its link
has expired.
"""

from __future__ import annotations

import logging
import smtplib
import threading
from datetime import timedelta
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
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
# seconds to the next attempt
LATER = (10, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR)
AT_ONCE = 20  # letters of one connection to the mail server
SHOWN = 300  # characters of an error
UNREACHED = (
    smtplib.SMTPConnectError,
    smtplib.SMTPServerDisconnected,
    smtplib.SMTPAuthenticationError,
)
_sending = threading.Lock()


def is_sent() -> bool:
    """Whether e-mail reaches people here, or is only printed for the operator."""
    return not settings.EMAIL_BACKEND.endswith(("console.EmailBackend", "dummy.EmailBackend"))


@transaction.atomic
def send(
    to: str,
    template: str,
    context: dict,
    valid_for: timedelta,
    language: str | None = None,
) -> Letter:
    """Queue the template, whose first line is the subject, in the reader's language.

    `valid_for`: until its links expire; it is not sent later.
    """
    with translation.override(language or translation.get_language()):
        subject, body = render_to_string(template, context).strip().split("\n", 1)
    fields = {"subject": subject, "body": body.strip() + "\n", "useful_until": now() + valid_for}
    letter = Letter.objects.create(to=to, **fields)
    transaction.on_commit(wake)
    return letter


def wake() -> None:
    outbox.wake("mail.deliver")


def wake_waiting() -> None:
    """Have sent what is due; the sweep calls this."""
    if outbox.due(Letter).exists():
        wake()


def deliver() -> None:
    outbox.drain(Letter, _sending, send_some)


def send_some() -> bool:
    """A few letters by one connection; False when the mail server is not reached: the rest waits."""
    connection = get_connection()
    try:
        waiting = outbox.due(Letter).order_by("next_at", "pk").values_list("pk", flat=True)
        for pk in list(waiting[:AT_ONCE]):
            if outbox.claim(Letter, pk):
                letter = Letter.objects.get(pk=pk)
                error = attempt(connection, letter)
                conclude(letter, error)
                if is_unreached(error):
                    return False
    finally:
        close(connection)
    return True


# Sending


class TooLate(Exception):
    """The letter's link has expired."""


def attempt(connection, letter: Letter) -> Exception | None:
    """Why it could not be sent; None when it was."""
    if letter.useful_until <= now():
        return TooLate(_("It could not be sent before its link expired."))
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "podium"
    message = EmailMessage(letter.subject, letter.body, to=[letter.to], connection=connection)
    message.extra_headers["Message-ID"] = f"<{letter.uuid}@{domain}>"  # the same at each attempt
    try:
        message.send()
    except Exception as error:  # whatever it is, it is kept with this letter and holds up no other
        close(connection)
        return error
    return None


def close(connection) -> None:
    """The next letter opens it anew."""
    try:
        connection.close()
    except (OSError, smtplib.SMTPException):
        pass


def conclude(letter: Letter, error: Exception | None) -> None:
    """Keep what came of an attempt, and say when to try again."""
    after = now() + timedelta(seconds=LATER[min(letter.attempts, len(LATER)) - 1])
    if error is None:
        outbox.write(letter, state=State.SENT, next_at=None, body="", sent_at=now(), error="")
    elif is_final(error) or letter.attempts > len(LATER) or after > letter.useful_until:
        log.error("An e-mail is given up, the page Accounts says which: %s", reason(error))
        outbox.write(letter, state=State.GIVEN_UP, next_at=None, body="", error=reason(error))
    else:
        log.warning("An e-mail failed and is tried again: is EMAIL_URL right? %s", reason(error))
        outbox.write(letter, state=State.FAILED, next_at=after, error=reason(error))


def is_final(error: Exception) -> bool:
    """Whether the mail server will not have this letter, now or later: no such person, say."""
    if isinstance(error, TooLate):
        return True
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _text in error.recipients.values())
    return isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500


def is_unreached(error: Exception | None) -> bool:
    """Whether the mail server is away, or lets nobody in: other letters would fail, too."""
    if isinstance(error, smtplib.SMTPException):  # each is an OSError too
        return isinstance(error, UNREACHED)
    return isinstance(error, OSError)


def reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        answers = error.recipients.values()
        replies = [f"{code} {text.decode(errors='replace')}" for code, text in answers]
        return "; ".join(replies)[:SHOWN]
    return (str(error) or type(error).__name__)[:SHOWN]


def troubled() -> QuerySet[Letter]:
    """What failed, newest first: an administrator of the site is shown it."""
    failed = Letter.objects.filter(state__in=[State.FAILED, State.GIVEN_UP])
    return failed.order_by("-created_at", "-pk")
