"""Prompt templates: texts with slots that the rows of a table fill."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.db.models import Count, QuerySet
from django.shortcuts import get_object_or_404
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from labeling.api.prompts import RefusedPrompt
from labeling.api.shared import Apart
from labeling.imports import prompt_templates
from labeling.models import Prompt, PromptTemplate
from people.access import ADMINS
from people.api import strict
from people.api.base import ActionMixin, ActionResult, Answer, Detail, Endpoint, Listing


class TemplateInput(serializers.Serializer):
    """A text with slots: `Write a story titled {title}.`"""  # noqa: D415 (in the API's schema)

    name, text = serializers.CharField(max_length=80), serializers.CharField(max_length=20_000)


class TemplateBody(serializers.ModelSerializer):
    """A text with slots."""

    slots = serializers.SerializerMethodField()
    prompts = serializers.IntegerField(source="made", default=0, help_text="That were made of it.")

    class Meta:
        model = PromptTemplate
        fields = ["id", "name", "text", "slots", "prompts", "created_at"]
        read_only_fields = fields

    def get_slots(self, template: PromptTemplate) -> list[str]:
        return prompt_templates.slots(template.text)


class FillInput(serializers.Serializer):
    """Rows that fill the slots by name; `author`, `use_case`, `language` and `split` describe the
    prompt.
    """

    rows = serializers.ListField(
        child=serializers.DictField(), min_length=1, max_length=prompt_templates.MOST
    )
    split = serializers.ChoiceField(
        Prompt.Split.choices, required=False, help_text="Of the rows that name none."
    )


class FilledBody(serializers.Serializer):
    """What was made of the rows."""

    added = serializers.IntegerField(help_text="Prompts that are new.")
    refused = RefusedPrompt(many=True, help_text="Rows that leave a slot empty, or make no prompt.")


def visible(endpoint: Endpoint) -> QuerySet[PromptTemplate]:
    templates = PromptTemplate.objects.filter(project=endpoint.project).select_related("project")
    return templates.annotate(made=Count("rows"))


# The endpoints


class Templates(Listing, ActionMixin, Endpoint):
    """The project's templates. The text of a template never changes, because its prompts refer to
    it.
    """

    roles = {"GET": ADMINS}
    input, output, status = TemplateInput, TemplateBody, 201

    def get_serializer_class(self) -> type[BaseSerializer]:
        return TemplateBody

    def get_queryset(self) -> QuerySet:
        return visible(self)

    def act(self, data: dict[str, Any]) -> ActionResult:
        made = prompt_templates.create(self.actor, self.project, **data)
        return Answer(made, location=f"/api/v1/projects/{self.project.slug}/templates/{made.pk}")


class TemplateView(Detail, Endpoint):
    """One template."""

    roles, serializer_class = {"GET": ADMINS}, TemplateBody
    refuses = {"DELETE": (409,)}

    def get_queryset(self) -> QuerySet:
        return visible(self)

    def delete(self, request: Request, *args, **kwargs) -> Response:
        """Remove it. Refused (409) once prompts were made of it."""
        prompt_templates.delete(self.actor, self.get_object())
        return Response(status=204)


class Fill(Apart, Endpoint):
    """Make a prompt of each row. The prompt keeps a link to its row; the same rows again add
    nothing.
    """

    input, output, status = FillInput, FilledBody, 201

    def refuse_unread(self, rows: list[dict]) -> None:
        """Raises ValidationError at names that are neither slots nor columns of a prompt."""
        known = (*prompt_templates.slots(self.template.text), *prompt_templates.KNOWN)
        unread = {
            f"{place}.{name}": [strict.unknown(known)]
            for place, row in enumerate(rows)
            for name in row
            if name not in known
        }
        if unread:
            raise serializers.ValidationError({"rows": unread})

    @cached_property
    def template(self) -> PromptTemplate:
        return get_object_or_404(visible(self), pk=self.kwargs["pk"])

    def act(self, data: dict[str, Any]) -> ActionResult:
        self.refuse_unread(data["rows"])
        filled = prompt_templates.make(
            self.actor, self.template, data["rows"], data.get("split", "")
        )
        refused = [{"row": place - 1, "detail": reason} for place, reason in sorted(filled.refused)]
        return {"added": filled.new, "refused": refused}
