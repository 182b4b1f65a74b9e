"""The state of a project's loop, and the most useful next step."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.shared import counts_by_kind
from labeling.loop import status
from people.access import ADMINS
from people.api.base import Endpoint

STATIONS = ("prompts", "policy", "candidates", "rankings", "dataset", "reward")


class RingPrompts(serializers.Serializer):
    total = serializers.IntegerField()
    splits = serializers.DictField(child=serializers.IntegerField())
    duplicates = serializers.IntegerField(help_text="Left out by imports.")
    demonstrations = serializers.IntegerField()


class RingCandidates(serializers.Serializer):
    total = serializers.IntegerField()
    job = serializers.IntegerField(
        source="job.pk", allow_null=True, help_text="The newest sampling job."
    )
    round = serializers.IntegerField()


class RingRankings(serializers.Serializer):
    total = serializers.IntegerField()
    people = serializers.IntegerField(help_text="Who made some of them; only people count.")
    judge_kinds = counts_by_kind("Of the total, rankings by kind of judge.")
    tasks = serializers.IntegerField()
    places = serializers.IntegerField()
    free = serializers.IntegerField()
    ties = serializers.FloatField(allow_null=True, help_text="Percent of the pairs.")
    agreement = serializers.FloatField(
        allow_null=True, help_text="Percent of the pairs that two people judged alike."
    )
    plus_minus = serializers.FloatField(allow_null=True)


class RingUnfrozen(serializers.Serializer):
    pairs = serializers.IntegerField(help_text="Of the newest rankings that no dataset holds.")
    rankings = serializers.IntegerField()
    more = serializers.BooleanField(help_text="There are more pairs than were counted.")
    newest = serializers.IntegerField(
        source="newest.pk", allow_null=True, help_text="The newest dataset."
    )


class RingFigure(serializers.Serializer):
    value = serializers.FloatField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField(allow_null=True)


class RingRewards(serializers.Serializer):
    version = serializers.IntegerField(
        source="version.pk", allow_null=True, help_text="The newest reward model."
    )
    accuracy = RingFigure(allow_null=True)
    longer = RingFigure(allow_null=True, help_text="How often the longer answer would be right.")


class RingPolicies(serializers.Serializer):
    version = serializers.IntegerField(
        source="version.pk", allow_null=True, help_text="The newest that a job here made."
    )
    champion = serializers.IntegerField(source="champion.pk", allow_null=True)
    made = serializers.IntegerField()
    sampled = serializers.BooleanField(help_text="Whether the newest has answered prompts already.")


class RingBody(serializers.Serializer):
    """The stations of the loop, each with its figures, and the next step."""

    prompts = RingPrompts()
    candidates = RingCandidates()
    rankings = RingRankings()
    unfrozen = RingUnfrozen()
    rewards = RingRewards()
    policies = RingPolicies()
    busy = serializers.ListField(
        child=serializers.CharField(), help_text="Kinds of jobs that wait or run."
    )
    trained_on = serializers.ListField(
        child=serializers.CharField(),
        help_text="Kinds of models made, or being made, of the newest dataset.",
    )
    next = serializers.ChoiceField(
        STATIONS, help_text="The station whose step is the most useful now."
    )


class RingView(Endpoint):
    """The figures of the loop, and the most useful next step."""

    roles, serializer_class = {"GET": ADMINS}, RingBody

    def get(self, request: Request, *args, **kwargs) -> Response:
        loop = status.of_project(self.project)
        loop.busy, loop.trained_on = sorted(loop.busy), sorted(loop.trained_on)
        return Response(RingBody(loop).data)
