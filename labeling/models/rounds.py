"""Rounds: single passes through the loop, and their steps."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from modelops.models import Job
from people.models import Project, User


class Round(models.Model):
    """One pass through the loop of a project, from frozen rankings to the next answers."""

    class State(models.TextChoices):
        OPEN = "open", _("open: its steps are being made")
        DONE = "done", _("done: all that it was to do is done")
        STOPPED = "stopped", _("stopped: a person ended it before")

    project = models.ForeignKey(Project, models.CASCADE, related_name="rounds")
    n = models.PositiveIntegerField(help_text=_("Its number in the project, from 1."))
    state = models.CharField(max_length=7, choices=State, default=State.OPEN)
    started_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "n"], name="a_number_is_one_round_of_a_project"
            ),
            models.UniqueConstraint(
                fields=["project"], condition=Q(state="open"), name="a_project_has_one_open_round"
            ),
            models.CheckConstraint(
                condition=Q(state="open", ended_at=None)
                | (~Q(state="open") & Q(ended_at__isnull=False)),
                name="a_round_that_is_over_has_its_end",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project_id}: {self.n}"


class RoundStep(models.Model):
    """One step of a round: the job that makes it, if it is one, and what must hold before it."""

    class Kind(models.TextChoices):
        FREEZE = "freeze", _("freeze a dataset")
        REWARD = "reward", _("train a reward model")
        POLICY = "policy", _("fine-tune the policy")
        EVALUATE = "evaluate", _("evaluate what was made")
        PROMOTE = "promote", _("make the new policy the champion")
        SAMPLE = "sample", _("sample the answers of the next round")

    round = models.ForeignKey(Round, models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=8, choices=Kind)
    job = models.ForeignKey(Job, models.SET_NULL, null=True, related_name="+")
    gate = models.JSONField(
        default=dict,
        help_text=_("The figure that must reach a value first: figure, slice, bound, at_least."),
    )

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["round", "position"], name="the_steps_of_a_round_have_an_order"
            ),
            models.UniqueConstraint(
                fields=["job"], condition=Q(job__isnull=False), name="a_job_makes_one_step"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ({self.round})"
