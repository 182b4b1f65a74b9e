"""Texts that people are asked to write: asked for, taken, written, reviewed."""

from __future__ import annotations

import django_filters as filters
from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from rest_framework import serializers
from rest_framework.response import Response

from labeling.api.shared import Turn
from labeling.models import Demonstration, Prompt, Writing
from labeling.writing import drafts, requests, review
from people import pseudonyms
from people.access import ADMINS, LEADS, RANKERS, READERS, Refused
from people.api.base import Endpoint, ListEndpoint, Verb
from people.api.filters import IdFilter


class TextInput(serializers.Serializer):
    """What was written, and the seconds that it took so far."""

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
    """How many texts it was about."""

    count = serializers.IntegerField()


class StateCounts(serializers.Serializer):
    """How many texts of one kind are in each state."""

    open = serializers.IntegerField()
    writing = serializers.IntegerField()
    submitted = serializers.IntegerField()
    accepted = serializers.IntegerField()


class WritingCounts(serializers.Serializer):
    """How many texts are wanted, being written, under review and accepted."""

    demonstration = StateCounts()
    prompt = StateCounts()


class WritingBody(serializers.ModelSerializer):
    """A text that is wanted, being written, or done, as its writer sees it."""

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
    """The text as the reviewer leaves it."""

    text = serializers.CharField(
        required=False, trim_whitespace=False, max_length=2 * drafts.LONGEST
    )


class ReturnInput(serializers.Serializer):
    """What is to be better."""

    comment = serializers.CharField(max_length=2000)


class RejectInput(serializers.Serializer):
    """Why, if one likes to say."""

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

    def get_writer(self, one: Demonstration) -> str:
        return pseudonyms.of(one.prompt.project, one.labeler.uuid) if one.labeler else ""


class DemonstrationFilter(filters.FilterSet):
    """What demonstrations may be chosen by."""

    prompt, job = IdFilter(), IdFilter()
    split = filters.ChoiceFilter(field_name="prompt__split", choices=Prompt.Split.choices)


# For who asks


class AskDemonstrations(Verb):
    """Wish for the ideal answer to prompts that have none yet; none is asked for twice."""

    roles, input, output, status = {"POST": ADMINS}, AskDemonstrationsInput, WishCount, 201

    def act(self, data):
        return {"count": requests.ask_demonstrations(self.actor, self.project, **data)}


class AskPrompts(Verb):
    """Wish for new prompts in the labelers' own words."""

    roles, input, output, status = {"POST": ADMINS}, AskPromptsInput, WishCount, 201

    def act(self, data):
        return {"count": requests.ask_prompts(self.actor, self.project, **data)}


class Withdraw(Verb):
    """Take back every wish that nobody has begun on; what is being written goes on."""

    roles, output = {"POST": ADMINS}, WishCount

    def act(self, data):
        return {"count": requests.withdraw(self.actor, self.project)}


# For who writes


class Take(Verb):
    """The text at hand (one that was returned comes first), or the next that is wanted; 204 where
    none is.
    """

    roles, scopes, output, may_be_empty = (
        {"POST": RANKERS},
        {"POST": "label"},
        WritingBody,
        ("POST",),
    )

    def act(self, data):
        return drafts.next_for(self.membership)


class OwnWriting(Verb):
    """Something done with a text of one's own; the answer says how it stands then."""

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
    """Keep what is written so far."""

    input = TextInput

    def act(self, data):
        if not drafts.save(self.own, **data):
            raise drafts.Gone
        return self.as_it_stands()


class Heartbeat(OwnWriting):
    """Still at it."""

    def act(self, data):
        drafts.renew(self.own)
        return self.as_it_stands()


class HandIn(OwnWriting):
    """Hand the text in for review; one that can't be is kept."""

    input = TextInput

    def post(self, request, *args, **kwargs):
        try:
            return super().post(request, *args, **kwargs)
        except (Refused, drafts.Gone):
            drafts.save(self.own, self.said["text"], self.said["seconds"])
            raise

    def act(self, data):
        self.said = data
        handed_in = drafts.submit(self.own, **data)
        handed_in.refresh_from_db()
        return handed_in


class Back(OwnWriting):
    """Somebody else may write it; what is there so far is kept."""

    def act(self, data):
        drafts.give_back(self.own)
        return self.as_it_stands()


class Mine(ListEndpoint):
    """Every text that one has begun on, and what became of it."""

    roles, serializer_class = {"GET": RANKERS}, WritingBody
    filterset_fields = ["state", "kind"]

    def get_queryset(self):
        own = Writing.objects.filter(project=self.project, labeler=self.actor)
        return own.select_related("prompt")


# For who reviews


class Reviews(ListEndpoint):
    """What waits for review."""

    roles, serializer_class = {"GET": LEADS}, ReviewBody
    filterset_fields = ["kind"]

    def get_queryset(self):
        handed_in = Writing.objects.filter(project=self.project, state=Writing.State.SUBMITTED)
        return handed_in.select_related("prompt", "labeler")


class Counts(Endpoint):
    """How many texts of each kind are wanted, being written, under review and accepted."""

    roles, serializer_class = {"GET": LEADS}, WritingCounts

    def get(self, request, *args, **kwargs):
        return Response(requests.counts(self.project))


class Review(Verb):
    """What a reviewer decides on a text; one's own is for somebody else to review."""

    roles, scopes, output = {"POST": LEADS}, {"POST": "label"}, ReviewBody

    @cached_property
    def text(self) -> Writing:
        found = Writing.objects.filter(project=self.project).exclude(labeler=None)
        return get_object_or_404(
            found.select_related("prompt", "labeler", "project"), pk=self.kwargs["pk"]
        )

    def as_it_stands(self) -> Writing:
        self.text.refresh_from_db()
        return self.text


class Accept(Review):
    """Let the text in, as it is or as it was mended."""

    input = AcceptInput

    def act(self, data):
        review.accept(self.actor, self.text, data.get("text", self.text.text))
        return self.as_it_stands()


class Return(Review):
    """Back to its writer, with what is to be better."""

    input = ReturnInput

    def act(self, data):
        review.return_(self.actor, self.text, data["comment"])
        return self.as_it_stands()


class Reject(Review):
    """Not this text; the wish is open again."""

    input = RejectInput

    def act(self, data):
        review.reject(self.actor, self.text, data.get("comment", ""))
        return self.as_it_stands()


class Demonstrations(ListEndpoint):
    """The ideal answers that were accepted here, or imported."""

    roles, serializer_class = {"GET": READERS}, DemonstrationBody
    filterset_class = DemonstrationFilter

    def get_queryset(self):
        found = Demonstration.objects.filter(prompt__project=self.project, prompt__published=True)
        return found.select_related("prompt__project", "labeler")
