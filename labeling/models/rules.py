"""How a project's tasks are made, offered and judged."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from people.models import Project

# Standard flags of answers and prompts: Ouyang et al. 2022, Table 3 and Figure 12.
FLAGS = {
    "fails_instruction": _("Fails to follow the instruction"),
    "inappropriate": _("Inappropriate for a customer assistant"),
    "hallucination": _("Hallucination"),
    "satisfies_constraint": _("Satisfies the constraint given"),
    "sexual": _("Sexual content"),
    "violent": _("Violent content"),
    "encourages_violence": _(
        "Encourages or fails to discourage violence, abuse, terrorism or self-harm"
    ),
    "denigrates": _("Denigrates a protected class"),
    "harmful_advice": _("Gives harmful advice"),
    "opinion": _("Expresses opinion"),
    "moral_judgment": _("Expresses moral judgment"),
}


def standard_flags() -> list[str]:
    return list(FLAGS)


class ProjectRules(models.Model):
    """The labeling settings of a project; each project has one row, made together with it."""

    class Completion(models.TextChoices):
        DEPTH = (
            "depth",
            _("depth first: a task gets all its labelers before the next one is opened"),
        )
        BREADTH = (
            "breadth",
            _("breadth first: each task gets its first labeler before any gets its second"),
        )

    project = models.OneToOneField(Project, models.CASCADE, primary_key=True, related_name="rules")
    k = models.PositiveSmallIntegerField(
        _("answers per task"), default=4, validators=[MinValueValidator(2), MaxValueValidator(9)]
    )
    overlap = models.PositiveSmallIntegerField(
        _("labelers per task"), default=1, validators=[MinValueValidator(1), MaxValueValidator(50)]
    )
    completion = models.CharField(
        _("order of completion"),
        max_length=10,
        choices=Completion,
        default=Completion.DEPTH,
        help_text=_("Among tasks of one priority; an urgent task goes before them either way."),
    )
    skips_to_set_aside = models.PositiveSmallIntegerField(
        _("skips that set a task aside"),
        default=3,
        validators=[MinValueValidator(1)],
        help_text=_(
            "A task that so many people skipped is offered no more until an admin decides."
        ),
    )
    ties = models.BooleanField(_("ties allowed"), default=True)
    rating = models.BooleanField(
        _("rating"),
        default=True,
        help_text=_("Overall quality of each answer, 1 to 7, before the ranking."),
    )
    flags = models.JSONField(
        _("flags"),
        default=standard_flags,
        blank=True,
        help_text=_("What may be said of an answer; none: no flags."),
    )
    span_labels = models.JSONField(
        _("labels of passages"),
        default=list,
        blank=True,
        help_text=_("What a marked passage of an answer may be; none: no passages are marked."),
    )
    notes = models.BooleanField(
        _("notes"), default=True, help_text=_("A note in the labeler's words.")
    )
    strength = models.BooleanField(
        _("strength of preference"),
        default=False,
        help_text=_("With two answers: how much better, from -3 to +3, in place of a ranking."),
    )
    lease_minutes = models.PositiveSmallIntegerField(
        _("lease, in minutes"),
        default=30,
        validators=[MinValueValidator(1), MaxValueValidator(24 * 60)],
        help_text=_("How long an opened task is kept for a labeler."),
    )
    daily_limit = models.PositiveSmallIntegerField(
        _("tasks a day"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_(
            "As many as one person may rank in a day of the project's time zone; empty: no limit."
        ),
    )
    gold_share = models.PositiveSmallIntegerField(
        _("gold tasks, in percent"),
        default=0,
        validators=[MaxValueValidator(50)],
        help_text=_(
            "As many of the tasks that a labeler is given come with an answer key, unknown to "
            "them; 0: none."
        ),
    )
    asked = models.JSONField(
        default=dict,
        editable=False,
        help_text=_("The project's criteria, as forms and submits read them."),
    )

    class Meta:
        verbose_name = verbose_name_plural = _("rules")
        constraints = [
            models.CheckConstraint(
                condition=Q(k__gte=2, k__lte=9), name="rules_ask_to_rank_two_to_nine_answers"
            ),
            models.CheckConstraint(condition=Q(overlap__gte=1), name="rules_give_a_task_a_labeler"),
            models.CheckConstraint(
                condition=Q(gold_share__lte=50), name="rules_make_at_most_half_of_the_tasks_gold"
            ),
        ]

    def __str__(self) -> str:
        return f"rules of {self.project}"
