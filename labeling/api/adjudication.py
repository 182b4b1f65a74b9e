"""Tasks on which people disagree, and their adjudication by a lead: blind, as on the page."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from labeling.api import assignments, judgments
from labeling.api.shared import ShownAnswer, Turn, counts_by_kind
from labeling.judging import form
from labeling.models import Assignment, Judge, RankingTask
from labeling.quality import adjudication, recent
from people.access import LEADS
from people.api.base import Action, ActionResult, Endpoint


class DisputeBody(serializers.Serializer):
    """A task with a pair of answers that two people ranked in opposite orders."""

    task = serializers.IntegerField(source="task.pk")
    judges = serializers.IntegerField(help_text="How many people ranked it.")
    agreed = serializers.IntegerField(
        help_text="Of the comparisons, those in which two people agree."
    )
    compared = serializers.IntegerField(
        help_text="Pairs of answers, times pairs of people who put them in an order."
    )
    settled = serializers.BooleanField()


class DisputesBody(serializers.Serializer):
    """Tasks on which people disagree, those still to be adjudicated first, by rising agreement."""

    results = DisputeBody(many=True)
    left_out = counts_by_kind("Rankings by no person, by kind of judge: they are not compared.")


class SettlingBody(serializers.Serializer):
    """A task as the adjudicating lead sees it, with people's judgments and the adjudication."""

    task = serializers.IntegerField()
    messages = Turn(many=True)
    answers = ShownAnswer(many=True)
    asks = assignments.Asks()
    judged = serializers.ListField(
        child=serializers.CharField(), help_text="What each said: `B > A = C`, or a verdict."
    )
    judge_kinds = serializers.ListField(
        child=serializers.ChoiceField(Judge.Kind.choices), help_text="Of what kind each of them is."
    )
    settled = judgments.JudgmentInput(allow_null=True)


def sheet(paper: Assignment) -> dict[str, Any]:
    existing, judged = adjudication.settled(paper.task), adjudication.judged(paper)
    return {
        "task": paper.task.pk,
        "messages": paper.task.prompt.messages,
        "answers": assignments.shown(paper),
        "asks": assignments.asks(paper.project, len(paper.order)),
        "judged": [ranking.order for ranking in judged],
        "judge_kinds": [ranking.judge_kind for ranking in judged],
        "settled": judgments.as_body(form.typed_of(existing, paper.order)) if existing else None,
    }


class Disputes(Endpoint):
    """Recently ranked tasks on which people disagree."""

    roles, serializer_class = {"GET": LEADS}, DisputesBody

    def get(self, request: Request, *args, **kwargs) -> Response:
        disputes = adjudication.disputes(self.project, self.actor)
        left_out = recent.left_out(self.project)
        return Response(DisputesBody({"results": disputes, "left_out": left_out}).data)


class Settling(Action):
    """A task that may be adjudicated."""

    roles, scopes, output = {"POST": LEADS}, {"POST": "label"}, SettlingBody

    @cached_property
    def paper(self) -> Assignment:
        task: RankingTask = get_object_or_404(
            adjudication.open_to(self.project, self.actor), pk=self.kwargs["pk"]
        )
        return adjudication.sheet(task, self.actor)


class Settle(Settling):
    """GET returns the task and its judgments; POST adjudicates it, or changes the adjudication."""

    roles, input = {"GET": LEADS, "POST": LEADS}, judgments.JudgmentInput

    def get_serializer_class(self) -> type[BaseSerializer]:
        return SettlingBody

    def get(self, request: Request, *args, **kwargs) -> Response:
        return Response(sheet(self.paper))

    def act(self, data: dict[str, Any]) -> ActionResult:
        typed = judgments.typed(data, self.paper)
        with judgments.error_at_answer():
            adjudication.settle(self.actor, self.paper.task, form.judgment(typed))
        return sheet(self.paper)


class Unsettle(Settling):
    """Undo the adjudication: only people's judgments count again."""

    def act(self, data: dict[str, Any]) -> ActionResult:
        adjudication.unsettle(self.actor, self.paper.task)
        return sheet(self.paper)
