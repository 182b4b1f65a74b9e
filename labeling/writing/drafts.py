"""What labelers write: the ideal answer to a prompt, and prompts.

The table is the queue here too: a wanted text is an open row, taken by one conditional UPDATE. A
text in the making stays its writer's for `LEASE` after the last save; then the wish is open again
as a row of its own, and what was written is kept.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import Avg, Q, QuerySet
from django.utils.translation import gettext as _

from labeling.models import Candidate, Prompt, Ranking, RankingTask, Writing
from labeling.queue.eligibility import refuse_unless_working
from labeling.text import conversations
from labeling.text.conversations import Entry
from people import audit
from people.access import Refused
from people.db.clock import now
from people.models import Membership, Project, User

Kind, State = Writing.Kind, Writing.State
LEASE = timedelta(days=3)
LONGEST = 50_000  # characters


class Gone(Exception):
    """Someone else writes this now, or it is done; what was written is kept."""

    def __init__(self):
        super().__init__(
            _("This text was already submitted or reviewed, or someone else is writing it.")
        )


def next_for(membership: Membership) -> Writing | None:
    """The text that this labeler is at (one that was returned comes first), else the next wish,
    taken; None without one.

    Raises NotWorking when the project, the membership or the account is paused.
    """
    refuse_unless_working(membership)
    own = Writing.objects.filter(
        project=membership.project, labeler=membership.user, state=State.WRITING
    )
    return own.order_by("-reviewed_at", "pk").first() or _take_next(membership)


def _take_next(membership: Membership) -> Writing | None:
    expire(membership.project)
    wishes = Writing.objects.filter(project=membership.project, state=State.OPEN)
    if not membership.user.sensitive:
        wishes = wishes.exclude(prompt__sensitive=True)
    for wish in wishes.order_by("pk")[:10]:
        if _take(wish, membership.user):
            return Writing.objects.get(pk=wish.pk)
    return None


def _take(wish: Writing, labeler: User, text: str | None = None) -> bool:
    """At most one labeler wins a wish."""
    text = best_answer(wish.prompt_id) if text is None and wish.from_best else text or ""
    taken = Writing.objects.filter(pk=wish.pk, state=State.OPEN)
    return bool(taken.update(state=State.WRITING, labeler=labeler, saved_at=now(), text=text))


def best_answer(prompt_id: int) -> str:
    """The text that people ranked best on average; empty where nobody ranked."""
    counted = Q(ranked__ranking__current=True, ranked__ranking__outcome=Ranking.Outcome.RANKED)
    counted &= Q(
        ranked__ranking__task__purpose=RankingTask.Purpose.TRAINING
    )  # a gold task's key is told nobody
    answers = Candidate.objects.filter(counted, prompt=prompt_id).annotate(mean=Avg("ranked__rank"))
    return answers.order_by("mean", "pk").values_list("text", flat=True).first() or ""


def save(writing: Writing, text: str, seconds: float = 0) -> bool:
    """Keep what is written so far; False once it was submitted."""
    mine = Writing.objects.filter(pk=writing.pk, state__in=[State.WRITING, State.ABANDONED])
    return bool(mine.update(text=text[:LONGEST], seconds=seconds, saved_at=now()))


def renew(writing: Writing) -> None:
    Writing.objects.filter(pk=writing.pk, state=State.WRITING).update(saved_at=now())


def submit(writing: Writing, text: str, seconds: float = 0) -> Writing:
    """Hand the text in for review; a late one is handed in under a wish that is open again.

    Raises Refused for an empty or unfit text, Gone when the wish went to someone else.
    """
    text = check(writing, text)
    save(writing, text, seconds)  # whatever becomes of it, the text is kept
    return _hand_in(writing)


@transaction.atomic
def _hand_in(writing: Writing) -> Writing:
    writing = (
        Writing.objects.select_for_update(of=("self",)).select_related("project").get(pk=writing.pk)
    )
    if writing.state == State.ABANDONED:
        writing = _take_up_again(writing)
    handed_in = Writing.objects.filter(pk=writing.pk, state=State.WRITING)
    if not handed_in.update(state=State.SUBMITTED, submitted_at=now()):
        raise Gone
    audit.record(writing.labeler, "write", writing, writing.project)
    return writing


def check(writing: Writing, text: str) -> str:
    text = conversations.clean(text)
    if not text:
        raise Refused(_("Write something first."), "text")
    if len(text) > LONGEST:
        raise Refused(_("This is longer than %(n)s characters.") % {"n": LONGEST}, "text")
    if writing.kind == Kind.PROMPT and _known(writing.project, text):
        raise Refused(_("This prompt exists already: write another one."), "text")
    return text


def _known(project: Project, text: str) -> bool:
    return Prompt.objects.filter(project=project, digest=entry_of(text, "").digest).exists()


def _take_up_again(late: Writing) -> Writing:
    twins = Writing.objects.filter(
        project=late.project, kind=late.kind, prompt=late.prompt_id, brief=late.brief
    )
    twin = twins.filter(state=State.OPEN).order_by("pk").first()
    if twin is None or not _take(twin, late.labeler, late.text):
        raise Gone
    late.delete()
    twin.refresh_from_db()
    return twin


@transaction.atomic
def give_back(writing: Writing) -> None:
    """Somebody else may write it; what is there so far stays with its writer. Twice is harmless."""
    if _abandon(Writing.objects.filter(pk=writing.pk, state=State.WRITING)):
        audit.record(writing.labeler, "give back", writing, writing.project)


def expire(project: Project) -> None:
    """Open the wishes again whose writers have not saved for long."""
    late = Writing.objects.filter(project=project, state=State.WRITING, saved_at__lt=now() - LEASE)
    for pk in late.values_list("pk", flat=True)[:100]:
        with transaction.atomic():
            _abandon(late.filter(pk=pk))


def _abandon(queryset: QuerySet[Writing]) -> bool:
    writing = queryset.first()
    if writing is None or not queryset.update(state=State.ABANDONED):
        return False
    same = {
        name: getattr(writing, name)
        for name in ("project_id", "kind", "prompt_id", "brief", "from_best")
    }
    Writing.objects.create(**same)
    return True


def entry_of(text: str, author: str) -> Entry:
    return Entry(messages=[{"role": "user", "content": text}], author=author)
