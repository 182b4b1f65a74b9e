"""E-mail is sent by a thread of its own: no page waits for a mail server, or shows by its pace that it asked one."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils import translation

log = logging.getLogger(__name__)
postman = ThreadPoolExecutor(1, "mail")


def is_sent() -> bool:
    """Whether e-mail reaches people here, or is only printed for the operator."""
    return not settings.EMAIL_BACKEND.endswith(("console.EmailBackend", "dummy.EmailBackend"))


def send(to: str, template: str, context: dict, language: str | None = None) -> Future:
    """Send the template, whose first line is the subject, in the reader's language."""
    with translation.override(language or translation.get_language()):
        subject, body = render_to_string(template, context).strip().split("\n", 1)
    return postman.submit(_deliver, EmailMessage(subject, body.strip() + "\n", to=[to]))


def _deliver(message: EmailMessage) -> None:
    try:
        message.send()
    except Exception:
        log.exception("An e-mail could not be sent: is EMAIL_URL right?")
