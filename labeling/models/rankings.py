"""Rankings, and the datasets that hold them."""

import uuid
from collections import Counter
from collections.abc import Iterable

from django.db import models
from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.judges import Judge
from labeling.models.prompts import Candidate
from labeling.models.tasks import Assignment, RankingTask
from modelops.models import Dataset
from people.models import User


class Rankings(models.QuerySet):
    def of_judges(self) -> "Rankings":
        """Judgments of people, models and scripts: without answer keys and adjudications."""
        return self.exclude(kind__in=Ranking.FOR_ALL)

    def of_people(self) -> "Rankings":
        """Judgments of people: only they count in agreement and quality."""
        return self.of_kinds([Judge.Kind.PERSON])

    def of_kinds(self, kinds: Iterable[str]) -> "Rankings":
        """Judgments of judges of these kinds; `judge_kind` says the same of a single ranking."""
        listed = Judge.objects.filter(kind__in=kinds).values("uuid")
        chosen = Q(judge__in=listed) & ~Q(kind=Ranking.Kind.SIMULATED)
        if Judge.Kind.SCRIPT in kinds:
            chosen |= Q(kind=Ranking.Kind.SIMULATED)
        return self.of_judges().filter(chosen)

    def by_judge(self) -> list[tuple[uuid.UUID, str, int]]:
        """(judge, kind of judge, how many of them that judge made): two queries."""
        counted = self.of_judges().order_by().values_list("judge", "kind").annotate(n=Count("pk"))
        judges = Judge.objects.in_bulk([judge for judge, _kind, _n in counted])
        return [(judge, judge_kind(kind, judges.get(judge)), n) for judge, kind, n in counted]

    def by_kind(self) -> dict[str, int]:
        """How many of them judges of each kind made."""
        return sum_kinds(self.by_judge())

    def independent(self) -> "Rankings":
        """Each judge's last judgment of a task that was made without knowing what others say of it.

        Agreement and accuracy are measured on these: a revision that a lead's comment prompted
        does not count, and the ranking before it still does.
        """
        same = Ranking.objects.filter(task=OuterRef("task"), judge=OuterRef("judge"))
        later = same.filter(prompted=False, undone_at=None, revision__gt=OuterRef("revision"))
        revised = Exists(same.filter(current=True, prompted=True)) & ~Exists(later)
        before = Q(current=False, undone_at=None) & revised
        return self.filter(Q(current=True) | before, prompted=False)


def sum_kinds(by_judge: Iterable[tuple[uuid.UUID, str, int]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for _judge, kind, n in by_judge:
        counts[kind] += n
    return dict(counts)


class Ranking(models.Model):
    """What one judge decided on one task. A revision is a new row; an undone one stays, marked."""

    class Kind(models.TextChoices):
        LABELER = "labeler", _("by a labeler here")
        IMPORTED = "imported", _("by a judge elsewhere")
        SIMULATED = "simulated", _("by a script")
        GOLD = "gold", _("the answer key of a gold task, by an admin")
        ADJUDICATED = "adjudicated", _("settled by a lead, where people disagreed")

    FOR_ALL = (Kind.GOLD, Kind.ADJUDICATED)  # nobody's judgment

    class Outcome(models.TextChoices):
        RANKED = "ranked", _("ranked")
        ALL_BAD = "all_bad", _("all bad")
        CANNOT_JUDGE = "cannot_judge", _("cannot judge")

    task = models.ForeignKey(RankingTask, models.CASCADE, related_name="rankings")
    assignment = models.ForeignKey(Assignment, models.PROTECT, null=True, related_name="rankings")
    labeler = models.ForeignKey(User, models.PROTECT, null=True, related_name="rankings")
    judge = models.UUIDField(
        help_text=_(
            "The account's UUID; of an imported judge, uuid5 of the name; one of all answer keys, "
            "one of all that is settled."
        )
    )
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.LABELER)
    outcome = models.CharField(max_length=14, choices=Outcome, default=Outcome.RANKED)
    revision = models.PositiveSmallIntegerField(default=1)
    current = models.BooleanField(default=True)
    prompted = models.BooleanField(
        default=False,
        help_text=_("Made by somebody who had seen what others decided or said about the task."),
    )
    labels = models.JSONField(default=list, help_text=_("What the labeler said of the prompt."))
    note = models.TextField(blank=True)
    strength = models.SmallIntegerField(
        null=True,
        help_text=_(
            "Of two answers: how much better the first shown is, -3 to 3; null where not asked."
        ),
    )
    seconds = models.FloatField(default=0, help_text=_("Time at it, hidden tab not counted."))
    created_at = models.DateTimeField(default=timezone.now)
    undone_at = models.DateTimeField(null=True)
    by: Judge | None  # set while a batch of tasks is read with its judgments

    objects = Rankings.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task", "judge", "revision"], name="a_revision_is_written_once"
            ),
            models.UniqueConstraint(
                fields=["task", "judge"],
                condition=Q(current=True),
                name="a_judge_has_one_current_ranking_of_a_task",
            ),
            models.CheckConstraint(
                condition=Q(current=False) | Q(undone_at=None),
                name="an_undone_ranking_is_not_current",
            ),
            models.CheckConstraint(
                condition=Q(strength=None) | Q(strength__range=(-3, 3)),
                name="a_strength_is_minus_three_to_three",
            ),
        ]

    def __str__(self) -> str:
        return f"ranking {self.pk}"


def judge_kind(kind: str, judge: Judge | None) -> str:
    """Of what kind the judge of a ranking of this kind was; one by a script stays that."""
    if kind == Ranking.Kind.SIMULATED:
        return Judge.Kind.SCRIPT.value
    if kind in Ranking.FOR_ALL:  # by an admin or a lead
        return Judge.Kind.PERSON.value
    return judge.kind if judge else Judge.Kind.UNKNOWN.value


class RankedCandidate(models.Model):
    """One answer in one ranking. Ranks are dense: 1, 2, 2, 3."""

    ranking = models.ForeignKey(Ranking, models.CASCADE, related_name="ranked")
    candidate = models.ForeignKey(Candidate, models.PROTECT, related_name="ranked")
    shown = models.PositiveSmallIntegerField(help_text=_("Position on the screen, from 0."))
    rank = models.PositiveSmallIntegerField(
        null=True, help_text=_("1 is best; null where nothing was ranked.")
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["ranking", "candidate"], name="an_answer_is_ranked_once"
            ),
            models.CheckConstraint(
                condition=Q(rank=None) | Q(rank__gte=1), name="ranks_count_from_one"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.candidate_id}: {self.rank}"


class FormDraft(models.Model):
    """A person's draft of an answer key or an adjudication, which has no assignment."""

    task = models.ForeignKey(RankingTask, models.CASCADE, related_name="+")
    person = models.ForeignKey(User, models.CASCADE, related_name="+")
    kind = models.CharField(
        max_length=12, choices=Ranking.Kind, help_text=_("What the form makes.")
    )
    draft = models.JSONField(default=dict)
    saved_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task", "person", "kind"], name="a_person_has_one_draft_of_a_form"
            )
        ]

    def __str__(self) -> str:
        return f"{self.person} on {self.task_id}: {self.kind}"


class DatasetRanking(models.Model):
    """A ranking that a dataset was frozen from: it links a model to the judgments behind it."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="+")
    ranking = models.ForeignKey(Ranking, models.PROTECT, related_name="datasets")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "ranking"], name="a_dataset_holds_a_ranking_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.dataset_id}: {self.ranking_id}"


class DatasetLabeler(models.Model):
    """The judge that a number of a dataset stands for. Only an admin may export this key."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="+")
    number = models.PositiveIntegerField()
    judge = models.UUIDField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "number"], name="a_number_is_one_labeler_of_a_dataset"
            ),
            models.UniqueConstraint(
                fields=["dataset", "judge"], name="a_labeler_has_one_number_in_a_dataset"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.dataset_id}: {self.number}"


ANSWER_KEY = uuid.UUID("c2d9b7a6-31f5-4c8e-a7d0-5be04f1c9e62")
SETTLEMENT = uuid.UUID("8f1f4c55-6f4c-4b43-9a61-0b7f5d2f3ae0")
