"""The review of what labelers wrote: accept, return or reject it."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.models import Demonstration, Prompt, Writing
from labeling.text import conversations
from labeling.writing.drafts import Gone, check, entry_of
from people import audit
from people.access import Refused
from people.db.clock import now
from people.models import User

Kind, State = Writing.Kind, Writing.State


@transaction.atomic
def accept(reviewer: User, writing: Writing, text: str) -> None:
    """Let the text in, as the reviewer leaves it. Raises Refused for an unfit one, Gone when it is
    not under review.
    """
    text = check(writing, text)
    _settle(reviewer, writing, State.ACCEPTED, text=text, comment="")
    if writing.kind == Kind.DEMONSTRATION:
        Demonstration.objects.create(
            prompt_id=writing.prompt_id, labeler=writing.labeler, text=text
        )
    else:
        Writing.objects.filter(pk=writing.pk).update(prompt=_new_prompt(writing, text))
    audit.record(reviewer, "accept", writing, writing.project)


def _new_prompt(writing: Writing, text: str) -> Prompt:
    entry = entry_of(text, str(writing.labeler.uuid))
    author = conversations.author_key(entry.author)
    of_author = Prompt.objects.filter(project=writing.project, author=author, published=True)
    split = of_author.values_list("split", flat=True).first() or conversations.split_of(entry)
    return Prompt.objects.create(
        project=writing.project,
        messages=entry.messages,
        digest=entry.digest,
        source="written here",
        author=author,
        split=split,
        published=True,
    )


@transaction.atomic
def return_(reviewer: User, writing: Writing, comment: str) -> None:
    """Back to its writer, with what is to be better. Raises Refused without a comment, Gone when
    not under review.
    """
    if not comment.strip():
        raise Refused(_("Say what should be improved."), "comment")
    _settle(reviewer, writing, State.WRITING, comment=comment.strip(), saved_at=now())
    audit.record(reviewer, "return", writing, writing.project, comment=comment.strip()[:200])


@transaction.atomic
def reject(reviewer: User, writing: Writing, comment: str = "") -> None:
    """Not this text; the wish is open again. Raises Gone when it is not under review."""
    _settle(reviewer, writing, State.REJECTED, comment=comment.strip())
    same = {
        name: getattr(writing, name)
        for name in ("project_id", "kind", "prompt_id", "brief", "from_best")
    }
    Writing.objects.create(**same)
    audit.record(reviewer, "reject", writing, writing.project)


def _settle(reviewer: User, writing: Writing, state: State, **fields) -> None:
    if writing.labeler_id == reviewer.pk:
        raise Refused(_("Someone else has to review what you wrote."))
    under_review = Writing.objects.filter(pk=writing.pk, state=State.SUBMITTED)
    if not under_review.update(state=state, reviewer=reviewer, reviewed_at=now(), **fields):
        raise Gone
