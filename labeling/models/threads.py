"""What people say to each other about a task, and who has seen what others decided on it."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.rankings import Ranking
from labeling.models.tasks import RankingTask
from people.models import User


class Thread(models.Model):
    """A labeler's questions about one task, and what leads answer."""

    task = models.ForeignKey(RankingTask, models.CASCADE, related_name="threads")
    labeler = models.ForeignKey(User, models.PROTECT, related_name="+")
    opened_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, help_text=_("A further message opens it again."))
    read_at = models.DateTimeField(null=True, help_text=_("When its labeler read it last."))

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task", "labeler"], name="a_labeler_has_one_thread_on_a_task"
            )
        ]

    def __str__(self) -> str:
        return f"thread {self.pk}"


class Message(models.Model):
    """One message of a thread, by its labeler or by a lead."""

    LONGEST = 4000  # characters
    thread = models.ForeignKey(Thread, models.CASCADE, related_name="messages")
    author = models.ForeignKey(User, models.PROTECT, related_name="+")
    text = models.TextField()
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(text=""), name="a_message_says_something")
        ]

    def __str__(self) -> str:
        return f"message {self.pk}"


class Review(models.Model):
    """What a lead thinks of somebody's ranking."""

    class Verdict(models.TextChoices):
        AGREE = "agree", _("agree: the answers stand as the ranking says")
        DISAGREE = "disagree", _("disagree: they do not")
        COMMENT = "comment", _("comment: neither, see the comment")

    LONGEST = 4000  # characters
    ranking = models.ForeignKey(Ranking, models.CASCADE, related_name="reviews")
    reviewer = models.ForeignKey(User, models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=8, choices=Verdict)
    comment = models.TextField(blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["ranking", "reviewer"], name="a_lead_has_one_review_of_a_ranking"
            ),
            models.CheckConstraint(
                condition=~Q(verdict="comment", comment=""), name="a_comment_says_something"
            ),
        ]

    def __str__(self) -> str:
        return f"review {self.pk}"


class Seen(models.Model):
    """This person has seen what others decided or said about a task, or was told by a lead.

    The claim gives them no place on it any more, and what they judge there is marked as prompted.
    """

    # The unique constraint begins with the task, so that the task needs no index of its own.
    task = models.ForeignKey(RankingTask, models.CASCADE, related_name="+", db_index=False)
    person = models.ForeignKey(User, models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = _("seen")
        constraints = [
            models.UniqueConstraint(
                fields=["task", "person"], name="a_person_has_seen_a_task_or_not"
            )
        ]

    def __str__(self) -> str:
        return f"{self.person_id} has seen task {self.task_id}"
