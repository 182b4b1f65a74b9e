"""What people judge: prompts, answers, tasks, places on them, and the rankings that come of it."""

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from modelops.models import Dataset, Job, ModelVersion
from people.models import Project, User


class Prompt(models.Model):
    """A conversation whose last turn is the user's. Unseen until its import is published."""

    class Split(models.TextChoices):
        TRAIN = "train", _("train: models learn from it")
        VALIDATION = "validation", _("validation: for choosing between models")
        TEST = "test", _("test: for the final figure")

    project = models.ForeignKey(Project, models.CASCADE, related_name="prompts")
    messages = models.JSONField(help_text=_('[{"role", "content"}], the last turn the user\'s.'))
    source = models.CharField(max_length=100, blank=True)
    author = models.CharField(max_length=64, blank=True, help_text=_("Salted hash of the author."))
    use_case = models.CharField(max_length=40, blank=True)
    language = models.CharField(max_length=10, blank=True)
    split = models.CharField(max_length=10, choices=Split)
    digest = models.CharField(max_length=64, help_text=_("sha256 of the conversation."))
    published = models.BooleanField(default=False)
    job = models.ForeignKey(Job, models.SET_NULL, null=True, related_name="prompts_added")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "digest"], name="a_prompt_is_in_a_project_once")]
        indexes = [models.Index(fields=["project", "split", "id"], name="prompts_by_split")]

    def __str__(self) -> str:
        return self.last_turn[:80]

    @property
    def last_turn(self) -> str:
        return self.messages[-1]["content"]


class Demonstration(models.Model):
    """A labeler's own answer to a prompt."""

    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="demonstrations")
    labeler = models.ForeignKey(User, models.PROTECT, null=True, related_name="demonstrations")
    text = models.TextField()
    job = models.ForeignKey(Job, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.text[:80]


class Writing(models.Model):
    """A text that somebody is asked to write: the ideal answer to a prompt, or a prompt."""

    class Kind(models.TextChoices):
        DEMONSTRATION = "demonstration", _("the ideal answer to a prompt")
        PROMPT = "prompt", _("a prompt")

    class State(models.TextChoices):
        OPEN = "open", _("open: nobody has begun")
        WRITING = "writing", _("being written")
        ABANDONED = "abandoned", _("left unfinished: somebody else may write it")
        SUBMITTED = "submitted", _("waits for review")
        ACCEPTED = "accepted", _("accepted")
        REJECTED = "rejected", _("rejected")

    PENDING = (State.OPEN, State.WRITING, State.SUBMITTED)

    project = models.ForeignKey(Project, models.CASCADE, related_name="writings")
    kind = models.CharField(max_length=14, choices=Kind)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    prompt = models.ForeignKey(Prompt, models.CASCADE, null=True, related_name="writings")
    brief = models.TextField(blank=True, help_text=_("What the prompt is to be about."))
    from_best = models.BooleanField(default=False, help_text=_("The writer starts from the answer ranked best."))
    labeler = models.ForeignKey(User, models.PROTECT, null=True, related_name="writings")
    text = models.TextField(blank=True)
    seconds = models.FloatField(default=0)
    saved_at = models.DateTimeField(null=True)
    submitted_at = models.DateTimeField(null=True)
    reviewer = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    comment = models.TextField(blank=True, help_text=_("What the reviewer said of it."))
    reviewed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["prompt"],
                condition=Q(kind="demonstration", state__in=["open", "writing", "submitted"]),
                name="a_prompt_is_answered_by_one_at_a_time",
            ),
            models.CheckConstraint(
                condition=~Q(kind="demonstration") | Q(prompt__isnull=False), name="a_demonstration_answers_a_prompt"
            ),
            models.CheckConstraint(
                condition=Q(state="open", labeler=None) | (~Q(state="open") & Q(labeler__isnull=False)),
                name="an_open_wish_has_no_writer_yet",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "state", "id"], name="writings_by_state"),
            models.Index(fields=["labeler", "project", "state"], name="writings_of_a_labeler"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class ImportedRow(models.Model):
    """A row of a file that brought answers, judgments or a demonstration: known again when it comes once more."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    job = models.ForeignKey(Job, models.CASCADE, related_name="rows")
    digest = models.CharField(
        max_length=64, help_text=_("sha256 of what the row says, and how often it said so before.")
    )
    place = models.CharField(max_length=200, help_text=_("Where in its file it stands."))
    published = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "digest"], name="a_row_of_a_file_comes_in_once")]

    def __str__(self) -> str:
        return f"row {self.place}"


class PromptBand(models.Model):
    """One of the marks of a prompt that a near duplicate, or one that begins alike, most likely shares."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="bands")
    band = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["project", "band"], name="prompts_by_band")]

    def __str__(self) -> str:
        return str(self.band)


class Candidate(models.Model):
    """An answer to a prompt by one model version, from one job, whose recipe says how it was drawn."""

    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="candidates")
    model_version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="candidates")
    job = models.ForeignKey(Job, models.CASCADE, related_name="candidates")
    slot = models.PositiveSmallIntegerField()
    text = models.TextField(blank=True)
    finish_reason = models.CharField(max_length=20, blank=True)
    tokens = models.PositiveIntegerField(null=True)
    logprob = models.FloatField(null=True, help_text=_("Sum of its tokens' log-probabilities, natural logarithm."))
    seed = models.BigIntegerField(null=True)
    duplicate = models.BooleanField(
        default=False, help_text=_("Word for word another answer of its job; no model learns from it by RL.")
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "prompt", "slot"], name="a_slot_is_filled_once")]

    def __str__(self) -> str:
        return self.text[:80]


class RankingTask(models.Model):
    """A prompt and a frozen set of answers to it. Claimable once published: then it has its place in the order."""

    ROUND = 2**40  # tasks in one round
    PRIORITY = 2**6 * ROUND  # rounds in one priority, more than the greatest overlap; a bigint holds all priorities

    class Purpose(models.TextChoices):
        TRAINING = "training", _("training: its rankings enter datasets")
        GOLD = "gold", _("gold: has an answer key, and a place for everybody; shows how well people judge")

    class State(models.TextChoices):
        OPEN = "open", _("open: offered once it is published, while it has a free place")
        SET_ASIDE = "set_aside", _("set aside: several people skipped it, an admin decides")
        RETIRED = "retired", _("retired: offered no more, its rankings stay")

    project = models.ForeignKey(Project, models.CASCADE, related_name="tasks")
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="tasks")
    candidates = models.ManyToManyField(Candidate, related_name="tasks")
    job = models.ForeignKey(Job, models.CASCADE, null=True, related_name="tasks_made")
    row = models.OneToOneField(ImportedRow, models.CASCADE, null=True, help_text=_("Of a file: judged elsewhere."))
    purpose = models.CharField(max_length=12, choices=Purpose, default=Purpose.TRAINING)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    put_back_at = models.DateTimeField(null=True, help_text=_("Skips before that count no more."))
    priority = models.SmallIntegerField(default=0, help_text=_("Smaller is ranked first."))
    overlap = models.PositiveSmallIntegerField(default=1)
    free_places = models.PositiveSmallIntegerField(default=0)
    sort_key = models.BigIntegerField(null=True, help_text=_("Priority, then order of arrival; null: not offered."))
    turn = models.GeneratedField(
        expression=F("sort_key") + (F("overlap") - F("free_places")) * ROUND,
        output_field=models.BigIntegerField(null=True), db_persist=True,
        help_text=_("Priority, then places taken, then order of arrival: the order where breadth comes first."),
    )  # fmt: skip
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(free_places__gte=0, free_places__lte=F("overlap")), name="free_places_stay_within_overlap"
            ),
            models.UniqueConstraint(
                fields=["job", "prompt"], condition=Q(row=None), name="a_job_makes_one_task_of_a_prompt"
            ),
            models.CheckConstraint(
                condition=Q(state="open") | Q(sort_key=None), name="only_an_open_task_has_a_place_in_the_order"
            ),
            models.CheckConstraint(
                condition=~Q(purpose="gold") | Q(sort_key=None, free_places=0), name="a_gold_task_is_out_of_the_order"
            ),
        ]
        indexes = [
            # The claim repeats this condition word for word, or the planner passes the index over.
            models.Index(fields=["project", "sort_key"], name="open_tasks_in_order", condition=Q(free_places__gt=0)),
            models.Index(fields=["project", "turn"], name="open_tasks_by_turn", condition=Q(free_places__gt=0)),
            models.Index(fields=["project", "id"], name="tasks_set_aside", condition=Q(state="set_aside")),
            models.Index(fields=["project", "id"], name="gold_tasks", condition=Q(purpose="gold")),
        ]

    def __str__(self) -> str:
        return f"task {self.pk}"


class Assignment(models.Model):
    """One labeler's place in one ranking task, held for a while and then submitted, skipped or given back."""

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
    place = models.PositiveSmallIntegerField(help_text=_("From 0; below the overlap, but for a gold task."))
    leased_until = models.DateTimeField(null=True)
    ahead = models.BooleanField(default=False, help_text=_("Leased while another was at hand; not looked at yet."))
    order = models.JSONField(help_text=_("Candidate ids in the order this labeler sees them: A, B, C, …"))
    draft = models.JSONField(default=dict)
    draft_at = models.DateTimeField(null=True)
    skip_reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    undone_at = models.DateTimeField(null=True, help_text=_("When its submit was taken back: it is shown first."))

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "labeler"], name="a_labeler_sees_a_task_once"),
            models.UniqueConstraint(
                fields=["task", "place"], condition=Q(state__in=["leased", "submitted"]), name="a_place_has_one_labeler"
            ),
            models.CheckConstraint(
                condition=Q(state="leased", leased_until__isnull=False) | ~Q(state="leased"), name="a_lease_has_an_end"
            ),
        ]
        indexes = [
            models.Index(fields=["leased_until"], name="leases_by_their_end", condition=Q(state="leased")),
            models.Index(fields=["labeler", "project", "state", "ended_at"], name="work_of_a_labeler"),
        ]

    def __str__(self) -> str:
        return f"{self.labeler} on {self.task_id}: {self.state}"

    @cached_property
    def texts(self) -> dict[int, str]:
        """The answers by candidate id."""
        return dict(Candidate.objects.filter(pk__in=self.order).values_list("pk", "text"))


class QueuePosition(models.Model):
    """Up to where in the order a labeler has looked; a claim starts there, and once more from the front.

    No task that is open to the labeler lies before it: what reopens or is published there moves it back.
    """

    FRONT = -(2**62)  # before the most urgent task

    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    labeler = models.ForeignKey(User, models.CASCADE, related_name="+")
    sort_key = models.BigIntegerField(default=FRONT, help_text=_("Of the tasks' order: sort_key, or turn."))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "labeler"], name="a_labeler_has_one_position")]

    def __str__(self) -> str:
        return str(self.sort_key)


class Ranking(models.Model):
    """What one judge decided on one task. A revision is a new row; an undone one stays, marked."""

    class Kind(models.TextChoices):
        LABELER = "labeler", _("by a labeler here")
        IMPORTED = "imported", _("by a named person elsewhere")
        SIMULATED = "simulated", _("by a script")
        GOLD = "gold", _("the answer key of a gold task, by an admin")

    class Outcome(models.TextChoices):
        RANKED = "ranked", _("ranked")
        ALL_BAD = "all_bad", _("all bad")
        CANNOT_JUDGE = "cannot_judge", _("cannot judge")

    task = models.ForeignKey(RankingTask, models.CASCADE, related_name="rankings")
    assignment = models.ForeignKey(Assignment, models.PROTECT, null=True, related_name="rankings")
    labeler = models.ForeignKey(User, models.PROTECT, null=True, related_name="rankings")
    judge = models.UUIDField(
        help_text=_(
            "The account's UUID; of an imported judge, uuid5 of the name; of all answer keys, one and the same."
        )
    )
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.LABELER)
    outcome = models.CharField(max_length=14, choices=Outcome, default=Outcome.RANKED)
    revision = models.PositiveSmallIntegerField(default=1)
    current = models.BooleanField(default=True)
    labels = models.JSONField(default=list, help_text=_("What the labeler said of the prompt."))
    note = models.TextField(blank=True)
    strength = models.SmallIntegerField(
        null=True, help_text=_("Of two answers: how much better the first shown is, -3 to 3; null where not asked.")
    )
    seconds = models.FloatField(default=0, help_text=_("Time at it, hidden tab not counted."))
    created_at = models.DateTimeField(default=timezone.now)
    undone_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "judge", "revision"], name="a_revision_is_written_once"),
            models.UniqueConstraint(
                fields=["task", "judge"], condition=Q(current=True), name="a_judge_has_one_current_ranking_of_a_task"
            ),
            models.CheckConstraint(
                condition=Q(current=False) | Q(undone_at=None), name="an_undone_ranking_is_not_current"
            ),
            models.CheckConstraint(
                condition=Q(strength=None) | Q(strength__range=(-3, 3)), name="a_strength_is_minus_three_to_three"
            ),
        ]

    def __str__(self) -> str:
        return f"ranking {self.pk}"


class RankedCandidate(models.Model):
    """One answer in one ranking. Ranks are dense: 1, 2, 2, 3."""

    ranking = models.ForeignKey(Ranking, models.CASCADE, related_name="ranked")
    candidate = models.ForeignKey(Candidate, models.PROTECT, related_name="ranked")
    shown = models.PositiveSmallIntegerField(help_text=_("Position on the screen, from 0."))
    rank = models.PositiveSmallIntegerField(null=True, help_text=_("1 is best; null where nothing was ranked."))
    rating = models.PositiveSmallIntegerField(null=True, help_text=_("Overall quality, 1 to 7."))
    flags = models.JSONField(default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["ranking", "candidate"], name="an_answer_is_ranked_once"),
            models.CheckConstraint(condition=Q(rank=None) | Q(rank__gte=1), name="ranks_count_from_one"),
            models.CheckConstraint(condition=Q(rating=None) | Q(rating__range=(1, 7)), name="ratings_are_one_to_seven"),
        ]

    def __str__(self) -> str:
        return f"{self.candidate_id}: {self.rank}"


class DatasetRanking(models.Model):
    """Which rankings a dataset was frozen from: the way back from a model to the people behind it."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="+")
    ranking = models.ForeignKey(Ranking, models.PROTECT, related_name="datasets")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "ranking"], name="a_dataset_holds_a_ranking_once")]

    def __str__(self) -> str:
        return f"{self.dataset_id}: {self.ranking_id}"


class ExternalLabeler(models.Model):
    """Somebody elsewhere whose judgments were imported, by the name that the file gives; the same in all projects."""

    judge = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=200)

    def __str__(self) -> str:
        return self.name


class DatasetLabeler(models.Model):
    """Whom a number of a dataset stands for. Numbers mean nothing in another dataset; only an admin may take this key."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="+")
    number = models.PositiveIntegerField()
    judge = models.UUIDField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="a_number_is_one_labeler_of_a_dataset"),
            models.UniqueConstraint(fields=["dataset", "judge"], name="a_labeler_has_one_number_in_a_dataset"),
        ]

    def __str__(self) -> str:
        return f"{self.dataset_id}: {self.number}"


IMPORTED_JUDGES = uuid.UUID("5f0ad1c4-7f0e-5f2b-9d3b-6a4f5a0b8c11")
ANSWER_KEY = uuid.UUID("c2d9b7a6-31f5-4c8e-a7d0-5be04f1c9e62")


def imported_judge(name: str) -> uuid.UUID:
    """The same name is the same judge, in every installation."""
    return uuid.uuid5(IMPORTED_JUDGES, name)
