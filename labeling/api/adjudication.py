"""Where people disagree, and how a lead settles it: blind, as in the page."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from rest_framework import serializers
from rest_framework.response import Response

from labeling.api import assignments, judgments
from labeling.api.shared import ShownAnswer, Turn
from labeling.judging import form, rankings
from labeling.models import Assignment, RankingTask
from labeling.quality import adjudication
from people.access import LEADS
from people.api.base import Endpoint, Verb


class DisputeBody(serializers.Serializer):
    """A task with a pair of answers that two people put in opposite orders."""

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
    """Where people disagree: what is to be settled first, the least agreement first."""

    results = DisputeBody(many=True)


class SettlingBody(serializers.Serializer):
    """A task as who settles it sees it, what people said of it, and what was settled."""

    task = serializers.IntegerField()
    messages = Turn(many=True)
    answers = ShownAnswer(many=True)
    asks = assignments.Asks()
    judged = serializers.ListField(
        child=serializers.CharField(), help_text="What each said: `B > A = C`, or a verdict."
    )
    settled = judgments.JudgmentInput(allow_null=True)


def sheet(paper: Assignment) -> dict[str, Any]:
    before = adjudication.settled(paper.task)
    return {
        "task": paper.task.pk,
        "messages": paper.task.prompt.messages,
        "answers": assignments.shown(paper),
        "asks": assignments.asks(paper.project, len(paper.order)),
        "judged": adjudication.judged(paper),
        "settled": judgments.as_said(form.typed_of(before)) if before else None,
    }


class Disputes(Endpoint):
    """Of what was ranked lately, the tasks on which people disagree."""

    roles, serializer_class = {"GET": LEADS}, DisputesBody

    def get(self, request, *args, **kwargs) -> Response:
        return Response(
            DisputesBody({"results": adjudication.disputes(self.project, self.actor)}).data
        )


class Settling(Verb):
    """A task that may be settled."""

    roles, scopes, output = {"POST": LEADS}, {"POST": "label"}, SettlingBody

    @cached_property
    def paper(self) -> Assignment:
        found: RankingTask = get_object_or_404(
            adjudication.open_to(self.project, self.actor), pk=self.kwargs["pk"]
        )
        return rankings.sheet(found, self.actor)


class Settle(Settling):
    """GET tells what there is to settle; POST settles it, or says it otherwise."""

    roles, input = {"GET": LEADS, "POST": LEADS}, judgments.JudgmentInput

    def get_serializer_class(self):
        return SettlingBody

    def get(self, request, *args, **kwargs) -> Response:
        return Response(sheet(self.paper))

    def act(self, data):
        typed = judgments.typed(data, self.paper)
        with judgments.at_its_answer():
            adjudication.settle(self.actor, self.paper.task, form.judgment(typed))
        return sheet(self.paper)


class Unsettle(Settling):
    """Take it back: the task is as people judged it, and no more."""

    def act(self, data):
        adjudication.unsettle(self.actor, self.paper.task)
        return sheet(self.paper)
