"""Ranking tasks, the places on them, and each labeler's position in the queue."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from labeling.models.groups import Group
from labeling.models.prompts import Candidate, ImportedRow, Prompt
from modelops.models import Job
from people.models import Project, User

# Conditions of indexes. A query must repeat one word for word, or the planner passes it over.
FOR_ANYBODY = Q(free_places__gt=0, reserved_for_user=None, reserved_for_group=None)
FOR_A_PERSON = Q(free_places__gt=0, reserved_for_user__isnull=False)
FOR_A_GROUP = Q(free_places__gt=0, reserved_for_group__isnull=False)
RESERVED = Q(reserved_for_user__isnull=False) | Q(reserved_for_group__isnull=False)
BEGUN = Q(free_places__lt=F("overlap"))  # a place is taken: each task with a judgment is one


class RankingTask(models.Model):
    """A prompt and a fixed set of answers to it. Once published, it has a place in the order and
    can be claimed.
    """

    ROUND = 2**40  # tasks in one round
    PRIORITY = (
        2**6 * ROUND
    )  # rounds in one priority, more than the greatest overlap; a bigint holds all priorities

    class Purpose(models.TextChoices):
        TRAINING = "training", _("training: its rankings enter datasets")
        GOLD = (
            "gold",
            _("gold: has an answer key, and a place for everybody; shows how well people judge"),
        )

    class State(models.TextChoices):
        OPEN = "open", _("open: offered once it is published, while it has a free place")
        SET_ASIDE = "set_aside", _("set aside: several people skipped it, an admin decides")
        RETIRED = "retired", _("retired: offered no more, its rankings stay")

    project = models.ForeignKey(Project, models.CASCADE, related_name="tasks")
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="tasks")
    candidates = models.ManyToManyField(Candidate, related_name="tasks")
    job = models.ForeignKey(Job, models.CASCADE, null=True, related_name="tasks_made")
    row = models.ForeignKey(
        ImportedRow,
        models.CASCADE,
        null=True,
        db_index=False,  # the constraint on its positions has one
        related_name="tasks",
        help_text=_("Of a file: judged elsewhere."),
    )
    row_position = models.PositiveSmallIntegerField(
        default=0,
        db_default=0,
        help_text=_("From 0, where a row or a job's answers to a prompt make several tasks."),
    )
    purpose = models.CharField(max_length=12, choices=Purpose, default=Purpose.TRAINING)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    put_back_at = models.DateTimeField(null=True, help_text=_("Skips before that count no more."))
    priority = models.SmallIntegerField(default=0, help_text=_("Smaller is ranked first."))
    overlap = models.PositiveSmallIntegerField(default=1)
    free_places = models.PositiveSmallIntegerField(default=0)
    sort_key = models.BigIntegerField(
        null=True, help_text=_("Priority, then order of arrival; null: not offered.")
    )
    turn = models.GeneratedField(
        expression=F("sort_key") + (F("overlap") - F("free_places")) * ROUND,
        output_field=models.BigIntegerField(null=True),
        db_persist=True,
        help_text=_(
            "Priority, then places taken, then order of arrival: the order where breadth comes "
            "first."
        ),
    )
    # No index on all tasks: most are reserved for nobody. The partial indexes below serve both.
    reserved_for_user = models.ForeignKey(
        User,
        models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        help_text=_("Only this person is given the task."),
    )
    reserved_for_group = models.ForeignKey(
        Group,
        models.RESTRICT,
        null=True,
        related_name="tasks",
        db_index=False,
        help_text=_("Only members of this group are given the task."),
    )
    created_at = models.DateTimeField(default=timezone.now)
    answers: list[Candidate]  # set while a batch of tasks is read with its judgments

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(free_places__gte=0, free_places__lte=F("overlap")),
                name="free_places_stay_within_overlap",
            ),
            models.UniqueConstraint(
                fields=["row", "row_position"], name="a_row_makes_one_task_at_a_position"
            ),
            models.UniqueConstraint(
                fields=["job", "prompt", "row_position"],
                condition=Q(row=None),
                name="a_job_makes_one_task_of_a_prompt_at_a_position",
            ),
            models.CheckConstraint(
                condition=Q(state="open") | Q(sort_key=None),
                name="only_an_open_task_has_a_place_in_the_order",
            ),
            models.CheckConstraint(
                condition=~Q(purpose="gold") | Q(sort_key=None, free_places=0),
                name="a_gold_task_is_out_of_the_order",
            ),
            models.CheckConstraint(
                condition=Q(reserved_for_user=None) | Q(reserved_for_group=None),
                name="a_task_is_reserved_for_a_person_or_for_a_group",
            ),
        ]
        indexes = [
            # Reserved tasks have indexes of their own, so that they cost other people nothing.
            models.Index(
                fields=["project", "sort_key"],
                name="open_tasks_in_order",
                condition=FOR_ANYBODY,
            ),
            models.Index(
                fields=["project", "turn"],
                name="open_tasks_by_turn",
                condition=FOR_ANYBODY,
            ),
            models.Index(
                fields=["project", "reserved_for_user", "sort_key"],
                name="tasks_of_a_person_in_order",
                condition=FOR_A_PERSON,
            ),
            models.Index(
                fields=["project", "reserved_for_user", "turn"],
                name="tasks_of_a_person_by_turn",
                condition=FOR_A_PERSON,
            ),
            models.Index(
                fields=["project", "reserved_for_group", "sort_key"],
                name="tasks_of_a_group_in_order",
                condition=FOR_A_GROUP,
            ),
            models.Index(
                fields=["project", "reserved_for_group", "turn"],
                name="tasks_of_a_group_by_turn",
                condition=FOR_A_GROUP,
            ),
            models.Index(fields=["project", "id"], name="reserved_tasks", condition=RESERVED),
            models.Index(
                fields=["project", "id"], name="tasks_set_aside", condition=Q(state="set_aside")
            ),
            models.Index(fields=["project", "id"], name="gold_tasks", condition=Q(purpose="gold")),
            models.Index(fields=["project", "id"], name="begun_tasks", condition=BEGUN),
        ]

    def __str__(self) -> str:
        return f"task {self.pk}"


class Assignment(models.Model):
    """One labeler's place on one ranking task: leased, then submitted, skipped, expired or
    returned.
    """

    class State(models.TextChoices):
        LEASED = "leased", _("leased: the labeler is at it")
        SUBMITTED = "submitted", _("submitted: its ranking counts")
        SKIPPED = "skipped", _("skipped: given to someone else")
        EXPIRED = "expired", _("expired: the lease ran out")
        RETURNED = "returned", _("returned: given back without a judgment")

    HOLDING = (State.LEASED, State.SUBMITTED)
    OVER = (State.LEASED, State.SUBMITTED, State.SKIPPED)  # not offered to this labeler again

    task = models.ForeignKey(RankingTask, models.CASCADE, related_name="assignments")
    labeler = models.ForeignKey(User, models.PROTECT, related_name="assignments")
    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.LEASED)
    place = models.PositiveSmallIntegerField(
        help_text=_("From 0; below the overlap, but for a gold task.")
    )
    leased_until = models.DateTimeField(null=True)
    ahead = models.BooleanField(
        default=False, help_text=_("Leased while another was at hand; not looked at yet.")
    )
    order = models.JSONField(
        help_text=_("Candidate ids in the order this labeler sees them: A, B, C, …")
    )
    draft = models.JSONField(default=dict)
    draft_at = models.DateTimeField(null=True)
    skip_reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    undone_at = models.DateTimeField(
        null=True, help_text=_("When its submit was taken back: it is shown first.")
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "labeler"], name="a_labeler_sees_a_task_once"),
            models.UniqueConstraint(
                fields=["task", "place"],
                condition=Q(state__in=["leased", "submitted"]),
                name="a_place_has_one_labeler",
            ),
            models.CheckConstraint(
                condition=Q(state="leased", leased_until__isnull=False) | ~Q(state="leased"),
                name="a_lease_has_an_end",
            ),
        ]
        indexes = [
            models.Index(
                fields=["leased_until"], name="leases_by_their_end", condition=Q(state="leased")
            ),
            models.Index(
                fields=["labeler", "project", "state", "ended_at"], name="work_of_a_labeler"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.labeler} on {self.task_id}: {self.state}"

    @cached_property
    def texts(self) -> dict[int, str]:
        """The answers by candidate id."""
        return dict(Candidate.objects.filter(pk__in=self.order).values_list("pk", "text"))

    @cached_property
    def messages(self) -> list[dict]:
        """The prompt's turns."""
        return Prompt.objects.values_list("messages", flat=True).get(tasks=self.task_id)


class QueuePosition(models.Model):
    """How far a labeler has searched the order. A claim starts here, then tries once more from the
    front.

    No task that is open to the labeler is before it: reopening or publishing a task there moves it
    back.
    """

    FRONT = -(2**62)  # before the most urgent task

    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    labeler = models.ForeignKey(User, models.CASCADE, related_name="+")
    sort_key = models.BigIntegerField(
        default=FRONT, help_text=_("Of the tasks' order: sort_key, or turn.")
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "labeler"], name="a_labeler_has_one_position"
            )
        ]

    def __str__(self) -> str:
        return str(self.sort_key)
