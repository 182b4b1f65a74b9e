"""Questions of labelers about one task, and what leads answer. Nothing of it enters a dataset."""

from __future__ import annotations

from django.core.cache import cache
from django.db import transaction
from django.db.models import Count, F, Max, OuterRef, Q, QuerySet, Subquery
from django.utils.timezone import now
from django.utils.translation import gettext as _

from labeling.models import Assignment, Message, Thread
from labeling.queue import seen
from labeling.text.conversations import clean
from people import audit
from people.access import LEADS, Refused
from people.models import Membership, User

MOST = 200  # messages of a thread, which is shown whole
LATELY = 15  # seconds


# What a member may see


def visible(membership: Membership) -> QuerySet[Thread]:
    """Labelers see their own threads; leads all, sensitive ones only if they are willing."""
    own = Q(labeler=membership.user)
    of_project = Thread.objects.filter(task__project=membership.project)
    if membership.role not in LEADS:
        of_project = of_project.filter(own)
    elif not membership.user.sensitive:
        of_project = of_project.filter(own | Q(task__prompt__sensitive=False))
    counted = of_project.annotate(count=Count("messages"), last_at=Max("messages__at"))
    return counted.select_related("labeler")


def to_read(membership: Membership) -> int:
    """How many threads wait for this member: their own with an answer that they have not read, and
    for leads those of others whose last word is their labeler's. One query.
    """
    newest = Message.objects.filter(thread=OuterRef("pk")).order_by("-pk")
    threads = Thread.objects.filter(task__project=membership.project_id).annotate(
        last_author=Subquery(newest.values("author")[:1]), last_at=Subquery(newest.values("at")[:1])
    )
    unread = Q(read_at=None) | Q(read_at__lt=F("last_at"))
    waiting = Q(labeler=membership.user) & ~Q(last_author=membership.user) & unread
    if membership.role in LEADS:
        others = ~Q(labeler=membership.user) & Q(closed_at=None, last_author=F("labeler"))
        if not membership.user.sensitive:
            others &= Q(task__prompt__sensitive=False)
        waiting |= others
    return threads.filter(waiting).count()


def to_read_lately(membership: Membership) -> int:
    """The same as it was a short while ago: it stands beside every card."""
    key = _key(membership.project_id, membership.user_id)
    return cache.get_or_set(key, lambda: to_read(membership), LATELY)


def mark_read(membership: Membership, thread: Thread) -> None:
    """Note that its labeler has read what was answered; what others read is not noted."""
    if membership.user_id == thread.labeler_id:
        Thread.objects.filter(pk=thread.pk).update(read_at=now())
    cache.delete(_key(membership.project_id, membership.user_id))


def _key(project: int, person: int) -> str:
    return f"questions-to-read-{project}-{person}"


# Actions


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
    if len(text) > Message.LONGEST:
        raise Refused(
            _("A message has at most %(most)d characters.") % {"most": Message.LONGEST}, "text"
        )
    thread = _locked(thread)
    if thread.messages.count() >= MOST:
        raise Refused(_("A thread holds at most %(most)d messages.") % {"most": MOST})
    message = Message.objects.create(thread=thread, author=author, text=text)
    Thread.objects.filter(pk=thread.pk).update(closed_at=None)
    if author.pk != thread.labeler_id:
        seen.note(author, [thread.task_id])
        seen.note(thread.labeler, [thread.task_id])
        told = _key(thread.task.project_id, thread.labeler_id)
        transaction.on_commit(lambda: cache.delete(told))
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
