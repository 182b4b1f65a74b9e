"""Ranking tasks, and an admin's actions on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import django_filters as filters
from django.db import models
from django.db.models import (
    BooleanField,
    Count,
    ExpressionWrapper,
    OuterRef,
    Prefetch,
    QuerySet,
    Subquery,
)
from django.db.models.functions import Coalesce
from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api import judgments
from labeling.judging import form, judgment, rankings
from labeling.models import Assignment, Candidate, Group, Ranking, RankingTask
from labeling.models.tasks import RESERVED
from labeling.quality import gold
from labeling.queue import reservations, seen, set_aside
from people.access import ADMINS, READERS, Refused
from people.api.base import Action, ActionResult, DetailEndpoint, Endpoint, ListEndpoint
from people.api.filters import MOST_ID, BooleanFilter, IdFilter
from people.models import Membership, Project

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
    reserved = serializers.BooleanField(
        source="is_reserved", help_text="Whether only a member or a group is given the task."
    )
    reserved_for_member = serializers.IntegerField(
        allow_null=True, help_text="Also null where the person has left the project."
    )

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
        fields += ["reserved", "reserved_for_member", "reserved_for_group"]
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
    for position, answer in enumerate(task.shown):
        yield {
            "letter": judgment.letter(position).upper(),
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
    reserved = BooleanFilter(method="that_are_reserved", label="Whether it is reserved.")
    reserved_for_member = IdFilter(method="for_member", label="The id of a member.")
    reserved_for_group = IdFilter(method="for_group")
    stuck = BooleanFilter(
        method="that_are_stuck",
        label=(
            "Whether it is reserved, has a free place, and nobody can be given it: those for whom "
            "it is reserved are paused, have left, do not judge such content, or have seen it."
        ),
    )

    def with_places(self, tasks: QuerySet, name: str, free: bool) -> QuerySet:
        return tasks.filter(free_places__gt=0) if free else tasks.filter(free_places=0)

    def that_are_reserved(self, tasks: QuerySet, name: str, reserved: bool) -> QuerySet:
        return tasks.filter(RESERVED) if reserved else tasks.exclude(RESERVED)

    def for_member(self, tasks: QuerySet, name: str, member: int) -> QuerySet:
        people = Membership.objects.filter(project=self.request.project, pk=member)
        return tasks.filter(RESERVED, reserved_for_user__in=people.values("user"))

    def for_group(self, tasks: QuerySet, name: str, group: int) -> QuerySet:
        return tasks.filter(RESERVED, reserved_for_group=group)

    def that_are_stuck(self, tasks: QuerySet, name: str, stuck: bool) -> QuerySet:
        chosen = reservations.stuck(self.request.project).values("pk")
        return tasks.filter(pk__in=chosen) if stuck else tasks.exclude(pk__in=chosen)


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
    reserved_for = Membership.objects.filter(
        project=OuterRef("project"), user=OuterRef("reserved_for_user")
    )
    return tasks.annotate(
        judged=Coalesce(Subquery(counted.values("n")), 0),
        is_reserved=ExpressionWrapper(RESERVED, BooleanField()),
        reserved_for_member=Subquery(reserved_for.values("pk")),
    )


# The endpoints


class Tasks(ListEndpoint):
    """The project's ranking tasks."""

    roles = {"GET": READERS}
    serializer_class, filterset_class = TaskBody, TaskFilter

    def get_queryset(self) -> QuerySet:
        return visible(self.project)


class TaskView(DetailEndpoint):
    """One task, with its answers, and its answer key if it has one."""

    roles, serializer_class = {"GET": READERS}, TaskDetail

    def get_queryset(self) -> QuerySet:
        return visible(self.project)

    def represent(self, task: RankingTask) -> Any:
        if task.purpose == RankingTask.Purpose.GOLD:
            seen.note(self.actor, [task.pk])
        return super().represent(task)


class TaskAction(Action):
    """An admin's action on a task; the answer is the task afterwards."""

    roles, output = {"POST": ADMINS}, TaskDetail

    @cached_property
    def task(self) -> RankingTask:
        return get_object_or_404(visible(self.project), pk=self.kwargs["pk"])

    def as_it_stands(self) -> RankingTask:
        return visible(self.project).get(pk=self.task.pk)


class PutBack(TaskAction):
    """Offer it again, at its old place in the order, to labelers who have not skipped it."""

    def act(self, data: dict[str, Any]) -> ActionResult:
        set_aside.put_back(self.actor, self.task)
        return self.as_it_stands()


class Retire(TaskAction):
    """Stop offering it; its rankings stay. Only a task that is set aside can be retired."""

    def act(self, data: dict[str, Any]) -> ActionResult:
        set_aside.retire(self.actor, self.task)
        if (done := self.as_it_stands()).state != RankingTask.State.RETIRED:
            raise Refused(_("Only a task that is set aside can be retired."))
        return done


class Gold(TaskAction):
    """Set or change its answer key: it is a gold task from now on."""

    input = judgments.JudgmentInput

    def act(self, data: dict[str, Any]) -> ActionResult:
        typed = judgments.typed(data, rankings.sheet(self.task, self.actor))
        with judgments.error_at_answer():
            gold.make(self.actor, self.task, form.judgment(typed))
        return self.as_it_stands()


class NotGold(TaskAction):
    """Make it an ordinary task again: people's rankings of it count like any others."""

    def act(self, data: dict[str, Any]) -> ActionResult:
        gold.unmake(self.actor, self.task)
        return self.as_it_stands()


class ReserveInput(serializers.Serializer):
    """A member, or a group. With neither, the task is offered to everybody again."""

    member = serializers.IntegerField(min_value=1, max_value=MOST_ID, allow_null=True, default=None)
    group = serializers.IntegerField(min_value=1, max_value=MOST_ID, allow_null=True, default=None)

    def validate(self, data: dict) -> dict:
        if data["member"] and data["group"]:
            message = _("Give a member or a group, not both.")
            raise serializers.ValidationError({"group": [message]})
        return data


class Reserve(TaskAction):
    """Reserve it for a member or a group: nobody else is given it. Who holds a place keeps it."""

    input = ReserveInput

    def act(self, data: dict[str, Any]) -> ActionResult:
        member = self._in_project(Membership, data["member"], "member")
        group = self._in_project(Group, data["group"], "group")
        reservations.reserve(self.actor, self.task, member, group)
        return self.as_it_stands()

    def _in_project(self, model: type[models.Model], pk: int | None, field: str):
        """The row, or None without a key. Raises Refused where the project has no such row."""
        if pk is None:
            return None
        row = model.objects.filter(project=self.project, pk=pk).first()
        if row is None:
            raise Refused(_("This project has none with this id."), field)
        return row


class ReservedBody(serializers.Serializer):
    """How many reserved tasks are offered."""

    waiting = serializers.IntegerField(help_text="They have a free place.")
    stuck = serializers.IntegerField(
        help_text="Of those, nobody can be given these: list them by the filter `stuck`."
    )


class Reserved(Endpoint):
    """How many reserved tasks have a free place, and how many of them are stuck."""

    roles, serializer_class = {"GET": READERS}, ReservedBody

    def get(self, request: Request, *args, **kwargs) -> Response:
        counts = {
            "waiting": reservations.waiting(self.project).count(),
            "stuck": reservations.stuck(self.project).count(),
        }
        return Response(ReservedBody(counts).data)
