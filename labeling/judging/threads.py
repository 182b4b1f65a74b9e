"""Questions of labelers about one task, and what leads answer. Nothing of it enters a dataset."""

from __future__ import annotations

from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _

from labeling.models import Assignment, Message, Thread
from labeling.queue import seen
from labeling.text.conversations import clean
from people import audit
from people.access import Refused
from people.models import User

MOST = 200  # messages of a thread, which is shown whole


@transaction.atomic
def open_on(assignment: Assignment, text: str) -> Thread:
    """Ask about the task at hand, or about one ranked before; the same thread each time.

    Raises Refused for any other task, and for an empty message.
    """
    if assignment.state not in Assignment.HOLDING:
        raise Refused(_("Ask about the task at hand, or about one that you have ranked."))
    thread, is_new = Thread.objects.get_or_create(
        task_id=assignment.task_id, labeler=assignment.labeler
    )
    if is_new:
        audit.record(assignment.labeler, "open thread", thread, assignment.project)
    say(assignment.labeler, thread, text)
    return thread


@transaction.atomic
def say(author: User, thread: Thread, text: str) -> Message:
    """Add a message, which opens a closed thread again. Raises Refused for an empty one.

    What its labeler judges after a lead's message is prompted by it, whether or not they read it.
    """
    text = clean(text)
    if not text:
        raise Refused(_("Write a message."), "text")
    thread = _locked(thread)
    if thread.messages.count() >= MOST:
        raise Refused(_("A thread holds at most %(most)d messages.") % {"most": MOST})
    message = Message.objects.create(thread=thread, author=author, text=text)
    Thread.objects.filter(pk=thread.pk).update(closed_at=None)
    if author.pk != thread.labeler_id:
        seen.note(author, [thread.task_id])
        seen.note(thread.labeler, [thread.task_id])
    audit.record(author, "write message", thread, thread.task.project, message=message.pk)
    return message


@transaction.atomic
def close(actor: User, thread: Thread) -> None:
    """Nothing is left to answer. Twice is harmless."""
    if Thread.objects.filter(pk=thread.pk, closed_at=None).update(closed_at=now()):
        audit.record(actor, "close thread", thread, thread.task.project)


def _locked(thread: Thread) -> Thread:
    """The thread, while somebody writes: of two messages at once, one waits."""
    threads = Thread.objects.select_for_update(of=("self",), no_key=True)
    return threads.select_related("labeler", "task__project").get(pk=thread.pk)
