"""Demonstrations and prompts that people write: requested, written, reviewed."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.shared import Turn
from labeling.models import Demonstration, Prompt, Writing
from labeling.writing import drafts, requests, review
from people import pseudonyms
from people.access import ADMINS, LEADS, RANKERS, READERS, Refused
from people.api.base import Action, ActionResult, Endpoint, ListEndpoint
from people.api.filters import IdFilter


class TextInput(serializers.Serializer):
    """The text so far, and the seconds spent on it."""

    text = serializers.CharField(
        allow_blank=True, trim_whitespace=False, max_length=2 * drafts.LONGEST
    )
    seconds = serializers.FloatField(default=0, min_value=0, max_value=10**8)


class AskDemonstrationsInput(serializers.Serializer):
    """Ideal answers to prompts that have none."""

    count = serializers.IntegerField(min_value=1, max_value=requests.AT_ONCE)
    split = serializers.ChoiceField(Prompt.Split.choices, default=Prompt.Split.TRAIN)
    from_best = serializers.BooleanField(
        default=False,
        help_text="Where people have ranked answers, the writer finds the best one to improve.",
    )


class AskPromptsInput(serializers.Serializer):
    """Prompts in the labelers' own words."""

    count = serializers.IntegerField(min_value=1, max_value=requests.AT_ONCE)
    brief = serializers.CharField(
        max_length=2000, help_text="What the writers are told: a subject, a kind of task."
    )


class WishCount(serializers.Serializer):
    """The number of texts concerned."""

    count = serializers.IntegerField()


class StateCounts(serializers.Serializer):
    """How many texts of one kind are in each state."""

    open = serializers.IntegerField()
    writing = serializers.IntegerField()
    submitted = serializers.IntegerField()
    accepted = serializers.IntegerField()


class WritingCounts(serializers.Serializer):
    """How many texts are requested, being written, under review and accepted."""

    demonstration = StateCounts()
    prompt = StateCounts()


class WritingBody(serializers.ModelSerializer):
    """A requested text as its writer sees it."""

    messages = Turn(
        many=True,
        source="prompt.messages",
        allow_null=True,
        default=None,
        help_text="What it answers.",
    )

    class Meta:
        model = Writing
        fields = [
            "id",
            "kind",
            "state",
            "brief",
            "messages",
            "from_best",
            "text",
            "seconds",
            "comment",
        ]
        fields += ["saved_at", "submitted_at", "reviewed_at"]
        read_only_fields = fields


class ReviewBody(WritingBody):
    """A text under review."""

    writer = serializers.CharField(source="labeler.name", help_text="Who wrote it.")
    prompt = serializers.IntegerField(source="prompt_id", allow_null=True)

    class Meta(WritingBody.Meta):
        fields = [*WritingBody.Meta.fields, "writer", "prompt"]
        read_only_fields = fields


class AcceptInput(serializers.Serializer):
    """The text as the reviewer edited it."""

    text = serializers.CharField(
        required=False, trim_whitespace=False, max_length=2 * drafts.LONGEST
    )


class ReturnInput(serializers.Serializer):
    """What to improve."""

    comment = serializers.CharField(max_length=2000)


class RejectInput(serializers.Serializer):
    """The reason, optional."""

    comment = serializers.CharField(required=False, allow_blank=True, max_length=2000)


class DemonstrationBody(serializers.ModelSerializer):
    """The ideal answer to a prompt, as it was accepted or imported."""

    writer = serializers.SerializerMethodField(
        help_text="A pseudonym; empty where it was imported."
    )

    class Meta:
        model = Demonstration
        fields = ["id", "prompt", "text", "writer", "job", "created_at"]
        read_only_fields = fields

    def get_writer(self, demonstration: Demonstration) -> str:
        return (
            pseudonyms.of(demonstration.prompt.project, demonstration.labeler.uuid)
            if demonstration.labeler
            else ""
        )


class DemonstrationFilter(filters.FilterSet):
    """Filters of demonstrations."""

    prompt, job = IdFilter(), IdFilter()
    split = filters.ChoiceFilter(field_name="prompt__split", choices=Prompt.Split.choices)


# For who asks


class AskDemonstrations(Action):
    """Request demonstrations for prompts that have none; no prompt is requested twice."""

    roles, input, output, status = {"POST": ADMINS}, AskDemonstrationsInput, WishCount, 201

    def act(self, data: dict[str, Any]) -> ActionResult:
        return {"count": requests.ask_demonstrations(self.actor, self.project, **data)}


class AskPrompts(Action):
    """Request new prompts in the labelers' own words."""

    roles, input, output, status = {"POST": ADMINS}, AskPromptsInput, WishCount, 201

    def act(self, data: dict[str, Any]) -> ActionResult:
        return {"count": requests.ask_prompts(self.actor, self.project, **data)}


class Withdraw(Action):
    """Withdraw every request that nobody has started; texts that are being written are kept."""

    roles, output = {"POST": ADMINS}, WishCount

    def act(self, data: dict[str, Any]) -> ActionResult:
        return {"count": requests.withdraw(self.actor, self.project)}


# For who writes


class Take(Action):
    """The text at hand (a returned one comes first), or the next requested one; 204 if there is
    none.
    """

    roles, scopes, output, may_be_empty = (
        {"POST": RANKERS},
        {"POST": "label"},
        WritingBody,
        ("POST",),
    )

    def act(self, data: dict[str, Any]) -> ActionResult:
        return drafts.next_for(self.membership)


class OwnWriting(Action):
    """An action on one's own text; the answer is its state afterwards."""

    roles, scopes, output = {"POST": RANKERS}, {"POST": "label"}, WritingBody

    @cached_property
    def own(self) -> Writing:
        mine = Writing.objects.filter(labeler=self.actor, project=self.project)
        return get_object_or_404(
            mine.select_related("project", "labeler", "prompt"), pk=self.kwargs["pk"]
        )

    def as_it_stands(self) -> Writing:
        self.own.refresh_from_db()
        return self.own


class Save(OwnWriting):
    """Save the text so far."""

    input = TextInput

    def act(self, data: dict[str, Any]) -> ActionResult:
        if not drafts.save(self.own, **data):
            raise drafts.Gone
        return self.as_it_stands()


class Heartbeat(OwnWriting):
    """Renew the reservation of the text."""

    def act(self, data: dict[str, Any]) -> ActionResult:
        drafts.renew(self.own)
        return self.as_it_stands()


class HandIn(OwnWriting):
    """Submit the text for review. If it is refused, it is saved."""

    input = TextInput

    def post(self, request: Request, *args, **kwargs) -> Response:
        try:
            return super().post(request, *args, **kwargs)
        except (Refused, drafts.Gone):
            drafts.save(self.own, self.said["text"], self.said["seconds"])
            raise

    def act(self, data: dict[str, Any]) -> ActionResult:
        self.said = data
        handed_in = drafts.submit(self.own, **data)
        handed_in.refresh_from_db()
        return handed_in


class Back(OwnWriting):
    """Give the text back so that somebody else may write it; what is written so far is kept."""

    def act(self, data: dict[str, Any]) -> ActionResult:
        drafts.give_back(self.own)
        return self.as_it_stands()


class Mine(ListEndpoint):
    """All texts that one has started, with their state."""

    roles, serializer_class = {"GET": RANKERS}, WritingBody
    filterset_fields = ["state", "kind"]

    def get_queryset(self) -> QuerySet:
        own = Writing.objects.filter(project=self.project, labeler=self.actor)
        return own.select_related("prompt")


# For who reviews


class Reviews(ListEndpoint):
    """Texts that wait for review."""

    roles, serializer_class = {"GET": LEADS}, ReviewBody
    filterset_fields = ["kind"]

    def get_queryset(self) -> QuerySet:
        handed_in = Writing.objects.filter(project=self.project, state=Writing.State.SUBMITTED)
        return handed_in.select_related("prompt", "labeler")


class Counts(Endpoint):
    """How many texts of each kind are requested, being written, under review and accepted."""

    roles, serializer_class = {"GET": LEADS}, WritingCounts

    def get(self, request: Request, *args, **kwargs) -> Response:
        return Response(requests.counts(self.project))


class Review(Action):
    """A reviewer's decision on a text. Nobody reviews their own."""

    roles, scopes, output = {"POST": LEADS}, {"POST": "label"}, ReviewBody

    @cached_property
    def text(self) -> Writing:
        texts = Writing.objects.filter(project=self.project).exclude(labeler=None)
        return get_object_or_404(
            texts.select_related("prompt", "labeler", "project"), pk=self.kwargs["pk"]
        )

    def as_it_stands(self) -> Writing:
        self.text.refresh_from_db()
        return self.text


class Accept(Review):
    """Accept the text, as it is or as the reviewer edited it."""

    input = AcceptInput

    def act(self, data: dict[str, Any]) -> ActionResult:
        review.accept(self.actor, self.text, data.get("text", self.text.text))
        return self.as_it_stands()


class Return(Review):
    """Send the text back to its writer, with what to improve."""

    input = ReturnInput

    def act(self, data: dict[str, Any]) -> ActionResult:
        review.return_(self.actor, self.text, data["comment"])
        return self.as_it_stands()


class Reject(Review):
    """Reject the text; its request is open again."""

    input = RejectInput

    def act(self, data: dict[str, Any]) -> ActionResult:
        review.reject(self.actor, self.text, data.get("comment", ""))
        return self.as_it_stands()


class Demonstrations(ListEndpoint):
    """Demonstrations that were accepted here, or imported."""

    roles, serializer_class = {"GET": READERS}, DemonstrationBody
    filterset_class = DemonstrationFilter

    def get_queryset(self) -> QuerySet:
        demonstrations = Demonstration.objects.filter(
            prompt__project=self.project, prompt__published=True
        )
        return demonstrations.select_related("prompt__project", "labeler")
