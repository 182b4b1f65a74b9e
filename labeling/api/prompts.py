"""Prompts, and the models' answers to them: for who reads or runs a project, never for labelers."""

from __future__ import annotations

import dataclasses
from typing import Any

import django_filters as filters
from django.conf import settings
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from labeling import imports
from labeling.api.shared import Apart, Turn, counts_by_kind
from labeling.imports.formats import plain
from labeling.imports.forms import CLEANING
from labeling.models import Candidate, Prompt, RankingTask
from labeling.queue.sensitive import mark_sensitive
from labeling.text.conversations import as_stored
from modelops import recipes
from people.access import READERS
from people.api import strict
from people.api.base import ActionResult, EditEndpoint, Endpoint, ListEndpoint, Listing
from people.api.filters import BooleanFilter, IdFilter
from people.models import Project
from people.request_limits import takes_upload

MOST = 10_000  # prompts in one request


class PromptBody(serializers.ModelSerializer):
    """A conversation whose last turn is the user's."""

    messages = Turn(many=True, read_only=True)
    answers = serializers.IntegerField(read_only=True, help_text="How many candidates answer it.")
    template = serializers.IntegerField(
        source="filled.template_id",
        read_only=True,
        allow_null=True,
        default=None,
        help_text="Of which it was made.",
    )
    template_row = serializers.IntegerField(
        source="filled.place", read_only=True, allow_null=True, default=None
    )

    class Meta:
        model = Prompt
        fields = [
            "id",
            "messages",
            "split",
            "use_case",
            "language",
            "source",
            "licence",
            "metadata",
            "digest",
            "job",
            "answers",
            "created_at",
        ]
        fields += ["template", "template_row", "sensitive"]
        read_only_fields = [name for name in fields if name != "sensitive"]


class CandidateBody(serializers.ModelSerializer):
    """An answer to a prompt by one model version, from one job."""

    messages = Turn(
        many=True,
        read_only=True,
        allow_null=True,
        help_text="Its turns, where it is more than a text; `text` is what they say.",
    )

    class Meta:
        model = Candidate
        fields = [
            "id",
            "prompt",
            "model_version",
            "job",
            "slot",
            "text",
            "messages",
            "finish_reason",
            "tokens",
            "logprob",
            "seed",
            "reward",
        ]
        fields += ["duplicate", "truncated", "created_at"]
        read_only_fields = fields


class CleaningInput(serializers.Serializer):
    """How prompts are cleaned, as in an import."""

    def get_fields(self) -> dict[str, serializers.Field]:
        known = {field.name: field for field in dataclasses.fields(recipes.ImportRecipe)}
        return {name: _field(known[name]) for name in CLEANING}


def _field(field: dataclasses.Field) -> serializers.Field:
    about = {"required": False, "help_text": field.metadata["help"]}
    if isinstance(field.default, bool):
        return serializers.BooleanField(**about)
    return serializers.IntegerField(
        min_value=field.metadata["low"], max_value=field.metadata["high"], **about
    )


class PromptsInput(serializers.Serializer):
    """Prompts to add, each with `prompt` (a text) or `messages` (turns), and optional details."""

    prompts = serializers.ListField(child=serializers.DictField(), min_length=1, max_length=MOST)
    split = serializers.ChoiceField(
        Prompt.Split.choices, required=False, help_text="Of the prompts that name none."
    )
    cleaning = CleaningInput(required=False)

    def validate_prompts(self, rows: list[dict]) -> list[dict]:
        """Raises ValidationError at unknown names; a bad value is reported with its row."""
        unread = {
            f"{place}.{name}": [strict.unknown(known)]
            for place, row in enumerate(rows)
            for name, known in plain.unread(row)
        }
        if unread:
            raise serializers.ValidationError(unread)
        return rows


class RefusedPrompt(serializers.Serializer):
    """A prompt that was not added."""

    row = serializers.IntegerField(help_text="Its place in the request, from 0.")
    detail = serializers.CharField()


class AddedPrompts(serializers.Serializer):
    """What was added."""

    added = serializers.IntegerField(help_text="Prompts that are new.")
    known = serializers.IntegerField(help_text="Those that were here already, or came twice.")
    refused = RefusedPrompt(many=True)
    cleaned = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="How many reading or a step of the cleaning converted, changed or left out.",
    )
    answers = serializers.IntegerField()
    rankings = serializers.IntegerField()
    judge_kinds = counts_by_kind("Rankings by kind of judge.")
    other_kinds = serializers.IntegerField(
        help_text="Rankings whose judge was said to be of another kind before; that stays."
    )
    demonstrations = serializers.IntegerField()


COUNTED = ("cleaned", "answers", "rankings", "judge_kinds", "other_kinds", "demonstrations")


class PromptFilter(filters.FilterSet):
    """Filters of prompts."""

    split = filters.ChoiceFilter(choices=Prompt.Split.choices)
    use_case = filters.CharFilter()
    language = filters.CharFilter()
    sensitive = BooleanFilter()
    source = filters.CharFilter()
    licence = filters.CharFilter()
    job = IdFilter(label="The import that brought it.")
    template = IdFilter(field_name="filled__template", label="Of which it was made.")
    state = filters.ChoiceFilter(
        method="with_task", choices=RankingTask.State.choices, label="Of one of its tasks."
    )
    purpose = filters.ChoiceFilter(
        method="with_task", choices=RankingTask.Purpose.choices, label="Of one of its tasks."
    )
    search = filters.CharFilter(method="containing", label="Words in the conversation.")

    def with_task(self, prompts: QuerySet, name: str, value: str) -> QuerySet:
        return prompts.filter(pk__in=RankingTask.objects.filter(**{name: value}).values("prompt"))

    def containing(self, prompts: QuerySet, name: str, words: str) -> QuerySet:
        return prompts.filter(messages__icontains=as_stored(words))


def visible(project: Project) -> QuerySet[Prompt]:
    """The project's prompts, each with the number of its answers."""
    answers = (
        Candidate.objects.filter(prompt=OuterRef("pk"))
        .order_by()
        .values("prompt")
        .annotate(n=Count("pk"))
    )
    prompts = Prompt.objects.filter(project=project, published=True).select_related("filled")
    return prompts.annotate(answers=Coalesce(Subquery(answers.values("n")), 0))


class CandidateFilter(filters.FilterSet):
    """Filters of answers."""

    prompt, model_version, job = IdFilter(), IdFilter(), IdFilter()
    duplicate = BooleanFilter()
    ranked = BooleanFilter(method="in_task", label="Whether it is in a ranking task.")

    def in_task(self, candidates: QuerySet, name: str, ranked: bool) -> QuerySet:
        held = RankingTask.candidates.through.objects.filter(candidate=OuterRef("pk"))
        return candidates.filter(Exists(held) if ranked else ~Exists(held))


# The endpoints


@takes_upload
class Prompts(Listing, Apart, Endpoint):
    """The project's prompts. One request adds up to 10,000, cleaned and compared as in an import.

    All valid prompts are added; the others are reported with their position in the request. The
    same prompts again add nothing.
    """

    roles = {"GET": READERS}
    input, output, status = PromptsInput, AddedPrompts, 201
    filterset_class = PromptFilter

    def get_serializer_class(self) -> type[BaseSerializer]:
        return PromptBody

    def get_queryset(self) -> QuerySet:
        return visible(self.project)

    def initial(self, request: Request, *args, **kwargs) -> None:
        super().initial(request, *args, **kwargs)
        if int(request.headers.get("Content-Length") or 0) > settings.UPLOAD_LIMIT:
            raise TooLarge

    def act(self, data: dict[str, Any]) -> ActionResult:
        cleaning = data.pop("cleaning", {})
        tally, refused = imports.add(
            self.actor, self.project, data.pop("prompts"), **cleaning, **data
        )
        counts = {name: getattr(tally, name) for name in COUNTED}
        return counts | {
            "added": tally.prompts,
            "known": tally.duplicates + tally.known,
            "refused": refused,
        }


class TooLarge(exceptions.APIException):
    status_code = 413
    default_detail = _("The request is larger than an upload may be: send it in parts.")


class PromptView(EditEndpoint):
    """One prompt. Only `sensitive` can be changed."""

    roles, serializer_class = {"GET": READERS}, PromptBody

    def get_queryset(self) -> QuerySet:
        return visible(self.project)

    def edit(self, prompt: Prompt, changes: dict[str, Any]) -> None:
        if "sensitive" in changes:
            mark_sensitive(self.actor, prompt, changes["sensitive"])


class Candidates(ListEndpoint):
    """Answers to the project's prompts, and the model version that wrote each."""

    roles = {"GET": READERS}
    serializer_class, filterset_class = CandidateBody, CandidateFilter

    def get_queryset(self) -> QuerySet:
        return Candidate.objects.filter(prompt__project=self.project, prompt__published=True)


class CandidatesOfPrompt(Candidates):
    """The answers to one prompt, in the order of their creation."""

    ordering = "pk"

    def get(self, request: Request, *args, **kwargs) -> Response:
        get_object_or_404(visible(self.project), pk=kwargs["pk"])
        return super().get(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet:
        return super().get_queryset().filter(prompt=self.kwargs.get("pk"))
