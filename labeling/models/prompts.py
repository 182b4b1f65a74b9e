"""Prompts with their origin, the texts that people write, and the answers of models."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from modelops import rows
from modelops.models import Job, ModelVersion
from people.models import Project, User


class Prompt(models.Model):
    """A conversation whose last turn is the user's or a tool's.

    Hidden until its import is published.
    """

    class Split(models.TextChoices):
        TRAIN = "train", _("train: models learn from it")
        VALIDATION = "validation", _("validation: for choosing between models")
        TEST = "test", _("test: for the final figure")

    project = models.ForeignKey(Project, models.CASCADE, related_name="prompts")
    messages = models.JSONField(help_text=_('[{"role", "content"}], the last turn the user\'s.'))
    source = models.CharField(max_length=100, blank=True)
    licence = models.CharField(max_length=100, blank=True, db_default="")
    metadata = models.JSONField(
        null=True, help_text=_("What an import said of it besides. It never enters a dataset.")
    )
    author = models.CharField(max_length=64, blank=True, help_text=_("Salted hash of the author."))
    use_case = models.CharField(max_length=40, blank=True)
    language = models.CharField(max_length=10, blank=True)
    split = models.CharField(max_length=10, choices=Split)
    digest = models.CharField(max_length=64, help_text=_("sha256 of the conversation."))
    sensitive = models.BooleanField(
        default=False,
        help_text=_("Sexual, violent or hateful: only for people who said that they are willing."),
    )
    published = models.BooleanField(default=False)
    job = models.ForeignKey(Job, models.SET_NULL, null=True, related_name="prompts_added")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "digest"], name="a_prompt_is_in_a_project_once"
            )
        ]
        indexes = [
            models.Index(fields=["project", "split", "id"], name="prompts_by_split"),
            models.Index(fields=["project", "author"], name="prompts_by_author"),
        ]

    def __str__(self) -> str:
        return self.last_turn[:80]

    @property
    def last_turn(self) -> str:
        """The text of the last turn."""
        return rows.turn_text(self.messages[-1])


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
    """A text that somebody is asked to write: a demonstration or a prompt."""

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
    from_best = models.BooleanField(
        default=False, help_text=_("The writer starts from the answer ranked best.")
    )
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
                condition=~Q(kind="demonstration") | Q(prompt__isnull=False),
                name="a_demonstration_answers_a_prompt",
            ),
            models.CheckConstraint(
                condition=Q(state="open", labeler=None)
                | (~Q(state="open") & Q(labeler__isnull=False)),
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
    """A row of a file with answers or a demonstration, kept so that it is not imported twice."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    job = models.ForeignKey(Job, models.CASCADE, related_name="rows")
    digest = models.CharField(
        max_length=64, help_text=_("sha256 of what the row says, and how often it said so before.")
    )
    place = models.CharField(max_length=200, help_text=_("Where in its file it stands."))
    published = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "digest"], name="a_row_of_a_file_comes_in_once"
            )
        ]

    def __str__(self) -> str:
        return f"row {self.place}"


class PromptBand(models.Model):
    """A band of a prompt's sketch, or the hash of its beginning: near duplicates most likely share
    one.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="+", db_index=False)
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="bands")
    band = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["project", "band"], name="prompts_by_band")]

    def __str__(self) -> str:
        return str(self.band)


class Candidate(models.Model):
    """An answer to a prompt by one model version; its job's recipe has the sampling settings."""

    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="candidates")
    model_version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="candidates")
    job = models.ForeignKey(Job, models.CASCADE, related_name="candidates")
    slot = models.PositiveSmallIntegerField()
    text = models.TextField(blank=True)
    messages = models.JSONField(
        null=True,
        help_text=_("Its turns, where it is more than a text; `text` is what they say, as text."),
    )
    finish_reason = models.CharField(max_length=20, blank=True)
    tokens = models.PositiveIntegerField(null=True)
    logprob = models.FloatField(
        null=True, help_text=_("Sum of its tokens' log-probabilities, natural logarithm.")
    )
    seed = models.BigIntegerField(null=True)
    reward = models.FloatField(
        null=True, help_text=_("By which a reward model chose it among several draws.")
    )
    duplicate = models.BooleanField(
        default=False,
        help_text=_("Word for word another answer of its job; no model learns from it by RL."),
    )
    truncated = models.BooleanField(
        default=False,
        help_text=_("The model read only a part of the prompt: all of it did not fit its context."),
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "prompt", "slot"], name="a_slot_is_filled_once")
        ]

    def __str__(self) -> str:
        return self.text[:80]
