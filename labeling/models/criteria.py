"""Criteria, the scores that judges give by them, and the spans that they mark in answers."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from labeling.models.prompts import Candidate
from labeling.models.rankings import Ranking
from people.models import Project

INSTRUCT_GPT = "InstructGPT"  # the preset of which projects switch the rating and the flags on
RATING = "rating"  # the key of its overall rating
LONGEST_KEY = 40
LONGEST_LABEL = 100
LONGEST_TEXT = 10_000
LONGEST_SPAN_LABEL = 40


class Immutable(Exception):
    """A criterion that has scores can't be changed: what was said would mean something else."""


class Criterion(models.Model):
    """A question that judges answer about each answer, or about the ranking as a whole.

    Its name in frozen rows is the key; of a later revision `key@2`, `key@3`, …
    """

    class Scope(models.TextChoices):
        ANSWER = "answer", _("answer: one value for each answer")
        RANKING = "ranking", _("ranking: one value for all answers together")

    class Kind(models.TextChoices):
        SCALE = "scale", _("scale: one of several steps, each a whole number")
        YES_NO = "yes-no", _("yes-no: true or false")
        CHOICE = "choice", _("choice: one of several texts")
        TEXT = "text", _("text: in the judge's words")

    FIXED = ("project_id", "key", "revision", "scope", "kind", "question", "labels", "required")

    project = models.ForeignKey(Project, models.CASCADE, related_name="criteria")
    key = models.SlugField(max_length=LONGEST_KEY, db_index=False)
    revision = models.PositiveSmallIntegerField(default=1)
    scope = models.CharField(max_length=10, choices=Scope, default=Scope.ANSWER)
    kind = models.CharField(max_length=10, choices=Kind)
    question = models.CharField(
        max_length=300, help_text=_("What is asked; of a flag of the preset, the flag itself.")
    )
    labels = models.JSONField(
        default=list,
        help_text=_(
            'Of a scale its steps, from the lowest: {"value": 1, "label": "poor"}. Of a choice its '
            "texts."
        ),
    )
    required = models.BooleanField(
        default=False, help_text=_("A judgment without a value is refused.")
    )
    preset = models.CharField(
        max_length=40, blank=True, help_text=_("The preset that it belongs to, if any.")
    )
    retired_at = models.DateTimeField(null=True, help_text=_("Not asked any more since then."))

    class Meta:
        verbose_name_plural = "criteria"
        constraints = [
            models.UniqueConstraint(
                fields=["project", "key", "revision"],
                name="a_revision_of_a_criterion_is_made_once",
            ),
            models.UniqueConstraint(
                fields=["project", "key"],
                condition=Q(retired_at=None),
                name="a_criterion_is_asked_in_one_revision",
            ),
            models.CheckConstraint(
                condition=Q(revision__gte=1), name="revisions_of_criteria_count_from_one"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args, **kwargs) -> None:
        """Raises Immutable where a criterion that has scores would say something else."""
        if self.pk and self.scores.exists():
            stored = type(self).objects.get(pk=self.pk)
            if any(getattr(self, name) != getattr(stored, name) for name in self.FIXED):
                raise Immutable(_("This criterion has scores: make a new revision of it."))
        super().save(*args, **kwargs)

    @property
    def name(self) -> str:
        """What frozen rows and the API call it: `key`, or `key@2` of the second revision."""
        return self.key if self.revision == 1 else f"{self.key}@{self.revision}"


class Score(models.Model):
    """What one ranking says by one criterion: of one answer, or of all together."""

    ranking = models.ForeignKey(
        Ranking, models.CASCADE, related_name="scores", db_index=False
    )  # the constraint's index serves it
    criterion = models.ForeignKey(Criterion, models.RESTRICT, related_name="scores")
    candidate = models.ForeignKey(Candidate, models.RESTRICT, null=True, related_name="+")
    value = models.JSONField(
        help_text=_("A whole number, true or false, or a text, by the criterion's kind.")
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["ranking", "criterion", "candidate"],
                name="a_ranking_scores_an_answer_once_by_a_criterion",
            ),
            models.UniqueConstraint(
                fields=["ranking", "criterion"],
                condition=Q(candidate=None),
                name="a_ranking_has_one_score_of_its_own_by_a_criterion",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.criterion_id}: {self.value}"


class Span(models.Model):
    """A part of an answer that a ranking marks, in Unicode code points of `Candidate.text`."""

    ranking = models.ForeignKey(Ranking, models.CASCADE, related_name="spans", db_index=False)
    candidate = models.ForeignKey(Candidate, models.RESTRICT, related_name="+")
    label = models.CharField(max_length=LONGEST_SPAN_LABEL)
    start = models.PositiveIntegerField(help_text=_("The first code point of it, from 0."))
    end = models.PositiveIntegerField(help_text=_("The first code point after it."))

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["ranking", "candidate", "label", "start", "end"],
                name="a_ranking_marks_a_span_once",
            ),
            models.CheckConstraint(
                condition=Q(start__lt=F("end")), name="a_span_holds_a_character"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label}: {self.start}–{self.end}"
