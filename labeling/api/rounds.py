"""Rounds of the loop: start one, read them, end one."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.serializers import BaseSerializer

from labeling.loop import rounds
from labeling.models import Round, RoundStep
from modelops.models import Job
from people.access import READERS, Refused
from people.api.base import Action, ActionMixin, Answer, DetailEndpoint, Endpoint, Listing
from people.api.filters import MOST_ID

MOST_STEPS = 50


class Gate(serializers.Serializer):
    """What must hold before a step is made: a final figure that reaches a value."""

    figure = serializers.CharField(max_length=60, help_text="Its name: accuracy, win_rate.")
    slice = serializers.CharField(max_length=60, allow_blank=True, default="held-out")
    bound = serializers.ChoiceField(
        ["value", "low"],
        default="value",
        help_text="Whether the figure itself must reach it, or the lower end of its interval.",
    )
    at_least = serializers.FloatField()


class StepInput(serializers.Serializer):
    """A step of a round."""

    kind = serializers.ChoiceField(RoundStep.Kind.choices)
    job = serializers.IntegerField(
        required=False, min_value=1, max_value=MOST_ID, help_text="That makes it."
    )
    gate = Gate(required=False)


class RoundInput(serializers.Serializer):
    """A round to start. Without steps it has one of each kind."""

    steps = StepInput(many=True, required=False, max_length=MOST_STEPS)


class StepBody(serializers.ModelSerializer):
    """A step of a round."""

    job_state = serializers.ChoiceField(
        Job.State.choices, source="job.state", allow_null=True, default=None
    )
    gate = Gate(allow_null=True, read_only=True)

    class Meta:
        model = RoundStep
        fields = ["position", "kind", "job", "job_state", "gate"]
        read_only_fields = fields

    def to_representation(self, step: RoundStep) -> dict[str, Any]:
        step.gate = step.gate or None
        return super().to_representation(step)


class RoundBody(serializers.ModelSerializer):
    """One pass through the loop."""

    started_by = serializers.EmailField(source="started_by.email", allow_null=True, default=None)
    steps = StepBody(many=True, read_only=True)

    class Meta:
        model = Round
        fields = ["n", "state", "started_by", "created_at", "ended_at", "steps"]
        read_only_fields = fields


class EndInput(serializers.Serializer):
    """How a round ends."""

    state = serializers.ChoiceField([Round.State.DONE.value, Round.State.STOPPED.value])


class OfRounds(Endpoint):
    """An endpoint of the project's rounds."""

    roles = {"GET": READERS}

    def get_queryset(self) -> QuerySet[Round]:
        mine = Round.objects.filter(project=self.project)
        return mine.select_related("started_by", "project").prefetch_related("steps__job")


class Rounds(Listing, ActionMixin, OfRounds):
    """The project's rounds, newest first. POST starts the next one; one may be open at a time."""

    input, output, status = RoundInput, RoundBody, 201
    refuses = {"POST": (409,)}

    def get_serializer_class(self) -> type[BaseSerializer]:
        return RoundBody

    def act(self, data: dict[str, Any]) -> Answer:
        steps = [self.step(**step) for step in data["steps"]] if "steps" in data else rounds.WHOLE
        started = rounds.start(self.actor, self.project, steps)
        location = f"/api/v1/projects/{self.project.slug}/rounds/{started.n}"
        return Answer(self.get_queryset().get(pk=started.pk), location=location)

    def step(self, kind: str, job: int | None = None, gate: dict | None = None) -> rounds.Step:
        """The step that is asked for. Raises Refused where the project has no such job."""
        if job is None:
            return rounds.Step(kind, None, gate)
        making = Job.objects.filter(project=self.project, pk=job).first()
        if making is None:
            raise Refused(_("This project has no job %(job)s.") % {"job": job}, "steps")
        return rounds.Step(kind, making, gate)


class RoundView(OfRounds, DetailEndpoint):
    """One round, by its number in the project."""

    serializer_class, lookup_field, lookup_url_kwarg = RoundBody, "n", "number"


class End(Action, OfRounds):
    """End the open round. Its jobs go on: cancel them by themselves."""

    input, output = EndInput, RoundBody
    refuses = {"POST": (409,)}

    def act(self, data: dict[str, Any]) -> Round:
        ended = get_object_or_404(self.get_queryset(), n=self.kwargs["number"])
        rounds.end(self.actor, ended, data["state"])
        return self.get_queryset().get(pk=ended.pk)
