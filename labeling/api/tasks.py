"""Ranking tasks, and an admin's actions on them."""

from __future__ import annotations

from collections.abc import Iterator

import django_filters as filters
from django.db.models import Count, OuterRef, Prefetch, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from rest_framework import serializers

from labeling.api import judgments
from labeling.judging import form, judgment, rankings
from labeling.models import Assignment, Candidate, Ranking, RankingTask
from labeling.quality import gold
from labeling.queue import set_aside
from people.access import ADMINS, READERS, Refused
from people.api.base import DetailEndpoint, ListEndpoint, Verb
from people.api.filters import BooleanFilter, IdFilter
from people.models import Project

State = Assignment.State


class SkippedBy(serializers.ModelSerializer):
    """A labeler's skip, with the reason."""

    class Meta:
        model = Assignment
        fields = ["skip_reason", "ended_at"]
        read_only_fields = fields


class AnswerOfTask(serializers.Serializer):
    """An answer under the letter that the answer key uses: in the order of creation."""

    letter = serializers.CharField()
    candidate = serializers.IntegerField()
    model_version = serializers.IntegerField()
    text = serializers.CharField(allow_blank=True)


class TaskBody(serializers.ModelSerializer):
    """A prompt and the answers to it that are ranked together."""

    candidates = serializers.SerializerMethodField(
        help_text="The answers' ids, in the order of making."
    )
    rankings = serializers.IntegerField(
        source="judged",
        help_text="How many count now; an answer key is none, nor what was settled.",
    )
    skipped = SkippedBy(many=True)

    class Meta:
        model = RankingTask
        fields = [
            "id",
            "prompt",
            "purpose",
            "state",
            "priority",
            "overlap",
            "free_places",
            "job",
            "candidates",
        ]
        fields += ["rankings", "skipped", "created_at"]
        read_only_fields = fields

    def get_candidates(self, task: RankingTask) -> list[int]:
        return [answer.pk for answer in task.shown]


class TaskDetail(TaskBody):
    """A task with its answers, and its answer key if it has one."""

    answers = AnswerOfTask(source="lettered", many=True)
    key = judgments.JudgmentInput(
        source="said",
        allow_null=True,
        help_text="The answer key of a gold task, by letters as made.",
    )

    class Meta(TaskBody.Meta):
        fields = [*TaskBody.Meta.fields, "answers", "key"]
        read_only_fields = fields

    def to_representation(self, task: RankingTask) -> dict:
        key = gold.key_of(task) if task.purpose == RankingTask.Purpose.GOLD else None
        task.said = judgments.as_body(form.typed_of(key)) if key else None
        task.lettered = list(lettered(task))
        return super().to_representation(task)


def lettered(task: RankingTask) -> Iterator[dict]:
    """Yield the answers with the letters that an answer key uses."""
    for letter, answer in zip(judgment.LETTERS.upper(), task.shown):
        yield {
            "letter": letter,
            "candidate": answer.pk,
            "model_version": answer.model_version_id,
            "text": answer.text,
        }


class TaskFilter(filters.FilterSet):
    """Filters of tasks; for those set aside: `?state=set_aside`."""

    state = filters.ChoiceFilter(choices=RankingTask.State.choices)
    purpose = filters.ChoiceFilter(choices=RankingTask.Purpose.choices)
    prompt, job = IdFilter(), IdFilter()
    free = BooleanFilter(method="with_places", label="Whether a place is free.")

    def with_places(self, tasks: QuerySet, name: str, free: bool) -> QuerySet:
        return tasks.filter(free_places__gt=0) if free else tasks.filter(free_places=0)


def visible(project: Project) -> QuerySet[RankingTask]:
    """The project's tasks, each with its answers, those who skipped it, and the number of its
    rankings.
    """
    skipped = Assignment.objects.filter(state=State.SKIPPED).order_by("ended_at")
    tasks = RankingTask.objects.filter(project=project, prompt__published=True).select_related(
        "project"
    )
    tasks = tasks.prefetch_related(
        Prefetch("candidates", Candidate.objects.order_by("slot", "pk"), to_attr="shown"),
        Prefetch("assignments", skipped, to_attr="skipped"),
    )
    counted = Ranking.objects.filter(task=OuterRef("pk"), current=True).of_judges()
    counted = counted.order_by().values("task").annotate(n=Count("pk"))
    return tasks.annotate(judged=Coalesce(Subquery(counted.values("n")), 0))


# The endpoints


class Tasks(ListEndpoint):
    """The project's ranking tasks."""

    roles = {"GET": READERS}
    serializer_class, filterset_class = TaskBody, TaskFilter

    def get_queryset(self):
        return visible(self.project)


class TaskView(DetailEndpoint):
    """One task, with its answers, and its answer key if it has one."""

    roles, serializer_class = {"GET": READERS}, TaskDetail

    def get_queryset(self):
        return visible(self.project)


class TaskVerb(Verb):
    """An admin's action on a task; the answer is the task afterwards."""

    roles, output = {"POST": ADMINS}, TaskDetail

    @cached_property
    def task(self) -> RankingTask:
        return get_object_or_404(visible(self.project), pk=self.kwargs["pk"])

    def as_it_stands(self) -> RankingTask:
        return visible(self.project).get(pk=self.task.pk)


class PutBack(TaskVerb):
    """Offer it again, at its old place in the order, to labelers who have not skipped it."""

    def act(self, data):
        set_aside.put_back(self.actor, self.task)
        return self.as_it_stands()


class Retire(TaskVerb):
    """Stop offering it; its rankings stay. Only a task that is set aside can be retired."""

    def act(self, data):
        set_aside.retire(self.actor, self.task)
        if (done := self.as_it_stands()).state != RankingTask.State.RETIRED:
            raise Refused(_("Only a task that is set aside can be retired."))
        return done


class Gold(TaskVerb):
    """Set or change its answer key: it is a gold task from now on."""

    input = judgments.JudgmentInput

    def act(self, data):
        typed = judgments.typed(data, rankings.sheet(self.task, self.actor))
        with judgments.error_at_answer():
            gold.make(self.actor, self.task, form.judgment(typed))
        return self.as_it_stands()


class NotGold(TaskVerb):
    """Make it an ordinary task again: people's rankings of it count like any others."""

    def act(self, data):
        gold.unmake(self.actor, self.task)
        return self.as_it_stands()
