"""What models, datasets and jobs are. A job is a row; the table is the queue."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from people.models import Project, User


class Job(models.Model):
    """One run of a worker: what it was told, how far it is, and what became of it."""

    class Kind(models.TextChoices):
        IMPORT = "import", _("import")
        UNDO = "undo", _("undo an import")
        PULL_DATA = "pull_data", _("pull a dataset from the Hub")
        PULL_MODEL = "pull_model", _("pull a model from the Hub")
        PUSH = "push", _("push a dataset to the Hub")
        SAMPLE = "sample", _("sample answers")
        FREEZE = "freeze", _("freeze a dataset")
        RENDER = "render", _("make a download")
        COMPARE = "compare", _("compare datasets")
        REWARD = "reward", _("train a reward model")
        SFT = "sft", _("fine-tune on good answers (SFT)")
        DPO = "dpo", _("fine-tune on comparisons (DPO)")
        KTO = "kto", _("fine-tune on good and bad answers (KTO)")
        PPO = "ppo", _("fine-tune on a reward model (PPO)")

    class State(models.TextChoices):
        QUEUED = "queued", _("waiting for a worker")
        RUNNING = "running", _("a worker is at it")
        DONE = "done", _("finished, its result is registered")
        FAILED = "failed", _("ended by an error; may be resumed")
        CANCELLED = "cancelled", _("stopped by a person; may be resumed")

    project = models.ForeignKey(Project, models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=10, choices=Kind)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    recipe = models.JSONField(default=dict)
    priority = models.SmallIntegerField(default=0, help_text=_("Smaller runs first."))
    requested_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    after = models.ForeignKey("self", models.SET_NULL, null=True, related_name="followers")
    model_version = models.ForeignKey(
        "ModelVersion", models.PROTECT, null=True, related_name="jobs_using"
    )
    dataset = models.ForeignKey("Dataset", models.PROTECT, null=True, related_name="jobs_using")
    reward_model = models.ForeignKey(
        "ModelVersion", models.PROTECT, null=True, related_name="jobs_scored_by_it"
    )
    rehearsal = models.ForeignKey(
        "Dataset", models.PROTECT, null=True, related_name="jobs_rehearsing"
    )
    further = models.ManyToManyField(
        "Dataset", related_name="jobs_reading", help_text=_("Read beside its dataset.")
    )

    claim = models.UUIDField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)
    cancel_requested = models.BooleanField(default=False)
    machine = models.CharField(max_length=100, blank=True)
    devices = models.CharField(
        max_length=400, blank=True, help_text=_("Of the machine, which the job computes on.")
    )

    done = models.PositiveIntegerField(default=0)
    started_from = models.PositiveIntegerField(
        default=0, help_text=_("What was done when the last worker took it.")
    )
    total = models.PositiveIntegerField(default=0)
    note = models.CharField(max_length=200, blank=True)
    error = models.TextField(blank=True)
    result = models.JSONField(default=dict)

    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="running") | Q(claim__isnull=False, heartbeat_at__isnull=False),
                name="a_running_job_is_claimed",
            ),
            models.CheckConstraint(
                condition=~Q(state="failed") | ~Q(error=""), name="a_failed_job_says_why"
            ),
        ]
        indexes = [
            models.Index(
                fields=["priority", "id"],
                name="jobs_that_may_run",
                condition=Q(state__in=["queued", "running"]),
            ),
            models.Index(fields=["project", "-id"], name="jobs_of_a_project"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"

    @property
    def live(self) -> bool:
        return self.state in (self.State.QUEUED, self.State.RUNNING)

    @property
    def stoppable(self) -> bool:
        return self.live and not self.cancel_requested

    @property
    def resumable(self) -> bool:
        return self.state in (self.State.FAILED, self.State.CANCELLED)

    @property
    def computes_on(self) -> str:
        """Its machine, and the devices of it."""
        where = {"": "", "cpu": _("processor")}.get(
            self.devices, "GPU " + self.devices.replace(",", ", ")
        )
        return " · ".join(str(part) for part in (self.machine, where) if part)

    @property
    def percent(self) -> int:
        return int(100 * self.done / self.total) if self.total else 0

    @property
    def rate(self) -> float:
        """Units a second since the last worker took it; 0 while that is not known."""
        fresh = self.done - self.started_from
        return fresh / self.seconds if fresh > 0 and self.seconds > 0 else 0.0

    @property
    def seconds(self) -> float:
        """How long the last worker had it."""
        if self.started_at is None:
            return 0.0
        return ((self.finished_at or timezone.now()) - self.started_at).total_seconds()

    @property
    def seconds_left(self) -> float | None:
        return (
            (self.total - self.done) / self.rate
            if self.state == self.State.RUNNING and self.rate
            else None
        )


class LogLine(models.Model):
    """A line that a job printed; the newest 2,000 of a job are kept."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="log")
    at = models.DateTimeField(default=timezone.now)
    text = models.CharField(max_length=2000)

    def __str__(self) -> str:
        return self.text


class Metric(models.Model):
    """A figure that a job reported: at a step of its run, or (step null) of its result."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="metrics")
    name = models.CharField(max_length=60)
    step = models.PositiveIntegerField(null=True)
    value = models.FloatField()
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    n = models.PositiveIntegerField(null=True)
    slice = models.CharField(max_length=60, blank=True)
    method = models.CharField(
        max_length=120, blank=True, help_text=_("How its interval was computed.")
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["job", "name", "slice", "step"], name="a_figure_is_reported_once_a_step"
            ),
            # apart from the one above, in which no two null steps are equal
            models.UniqueConstraint(
                fields=["job", "name", "slice"],
                condition=Q(step=None),
                name="a_final_figure_is_reported_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.value:.4g}"


class Dataset(models.Model):
    """Frozen rows, immutable; `digest` is made from the rows alone, so it is the same on any
    database.
    """

    class Kind(models.TextChoices):
        JUDGMENTS = "judgments", _("judgments: ranked answers, one row a task")
        DEMONSTRATIONS = (
            "demonstrations",
            _("demonstrations: a prompt and the answer a person wrote"),
        )
        PROMPTS = "prompts", _("prompts: conversations that wait for an answer")
        TEXT = "text", _("text: a prompt and what was written to it, as plain text")

    project = models.ForeignKey(Project, models.PROTECT, related_name="datasets")
    kind = models.CharField(max_length=16, choices=Kind)
    digest = models.CharField(max_length=64)
    job = models.ForeignKey(Job, models.PROTECT, null=True, related_name="datasets_made")
    note = models.CharField(max_length=200, blank=True)
    folder = models.CharField(max_length=200, help_text=_("Below the data folder."))
    counts = models.JSONField(default=dict)
    query = models.JSONField(default=dict, help_text=_("What was chosen when it was frozen."))
    licence = models.CharField(max_length=60, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_why = models.CharField(max_length=200, blank=True)
    successor = models.ForeignKey("self", models.SET_NULL, null=True, related_name="replaces")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "digest"], name="a_project_freezes_the_same_rows_once"
            ),
            models.CheckConstraint(
                condition=Q(withdrawn_at=None) | ~Q(withdrawn_why=""),
                name="a_withdrawn_dataset_says_why",
            ),
        ]

    def __str__(self) -> str:
        return self.short

    @property
    def short(self) -> str:
        return self.digest[:12]


class RenderedFile(models.Model):
    """A file made of a dataset, in the store: a download, or how it differs from another one. It is
    made again when somebody asks for it after it was cleaned up.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="rendered")
    name = models.CharField(max_length=100, help_text=_("Of the file on the host that made it."))
    stored = models.CharField(max_length=64, help_text=_("Its sha256 in the store."))
    made_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "name"], name="a_file_of_a_dataset_is_stored_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class LabelerWeights(models.Model):
    """How much the judgments of each labeler of a dataset count. They never change; `digest` is
    made from the dataset's id and the weights alone.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="weights")
    digest = models.CharField(max_length=64)
    weights = models.JSONField(help_text=_("By the labeler's number."))
    note = models.CharField(max_length=200, blank=True)
    stored_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = verbose_name_plural = _("labeler weights")
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "digest"], name="a_dataset_has_the_same_weights_once"
            ),
        ]

    def __str__(self) -> str:
        return self.digest[:12]

    @property
    def by_labeler(self) -> dict[str, float]:
        """The weights; a database may have kept 1.0 as 1, which is another text."""
        return {number: float(weight) for number, weight in self.weights.items()}


class ModelVersion(models.Model):
    """A policy or a reward model. One without a folder is external: asked at its address, or known
    by its answers only.
    """

    class Kind(models.TextChoices):
        POLICY = "policy", _("policy: writes answers")
        REWARD = "reward", _("reward model: scores answers")

    project = models.ForeignKey(Project, models.PROTECT, null=True, related_name="model_versions")
    kind = models.CharField(max_length=8, choices=Kind)
    name = models.CharField(max_length=100)
    parent = models.ForeignKey("self", models.PROTECT, null=True, related_name="children")
    job = models.OneToOneField(Job, models.PROTECT, null=True, related_name="model_made")
    dataset = models.ForeignKey(Dataset, models.PROTECT, null=True, related_name="models_made")
    folder = models.CharField(
        max_length=500, blank=True, help_text=_("Below the data folder, or absolute.")
    )
    sha256 = models.CharField(max_length=64, blank=True)
    address = models.URLField(
        max_length=500, blank=True, help_text=_("Of the server that answers for it.")
    )
    served_as = models.CharField(
        max_length=200, blank=True, help_text=_("Its name, or its adapter's, at that server.")
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], name="a_name_is_one_version_of_a_project"
            ),
            models.UniqueConstraint(
                fields=["name"], condition=Q(project=None), name="a_shared_name_is_one_version"
            ),
            models.CheckConstraint(
                condition=Q(folder="") | ~Q(sha256=""), name="an_artifact_has_its_digest"
            ),
            models.CheckConstraint(
                condition=Q(address="") | (Q(folder="") & ~Q(served_as="")),
                name="a_served_version_has_no_folder",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def external(self) -> bool:
        return not self.folder


class Alias(models.Model):
    """A name that points at a version of a project and may be moved; its moves are audit events."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="aliases")
    name = models.SlugField(max_length=40)
    model_version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="aliases")
    moved_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = _("aliases")
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], name="an_alias_points_at_one_version"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Worker(models.Model):
    """A worker process, as it was when it started or when something about it last changed. Whether
    it lives, its key in the broker says.
    """

    lives: bool | None = None  # not stored: set by whoever asks the broker

    name = models.CharField(
        max_length=200, unique=True, help_text=_("Among all workers, like training-2@host.")
    )
    host = models.CharField(max_length=100)
    pid = models.PositiveIntegerField()
    queues = models.JSONField(default=list)
    devices = models.JSONField(
        default=list, help_text=_("Of the host, on which its jobs may compute; none: they don't.")
    )
    code = models.CharField(max_length=12, help_text=_("A hash of the code that it runs."))
    torch = models.CharField(max_length=40, blank=True, help_text=_("The version of torch."))
    started_at = models.DateTimeField()
    changed_at = models.DateTimeField(help_text=_("When this was last written."))
    seen_at = models.DateTimeField(help_text=_("When a sweep last found it alive."))

    class Meta:
        indexes = [models.Index(fields=["host", "name"], name="workers_of_a_host")]

    def __str__(self) -> str:
        return self.name
