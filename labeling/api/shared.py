"""What several resources share."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from labeling.text.conversations import ROLES
from people.api.base import ActionMixin, Answer, once
from people.api.filters import MOST_ID
from people.api.paging import Paging

PART = {
    "type": "object",
    "properties": {"type": {"type": "string", "enum": ["text"]}, "text": {"type": "string"}},
    "required": ["type", "text"],
}


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "array", "items": PART}]})
class ContentField(serializers.Field):
    """A text, or a list of parts."""

    def to_representation(self, value: str | list) -> str | list:
        return value


class Function(serializers.Serializer):
    """The function that a tool call names."""

    name = serializers.CharField()
    arguments = serializers.CharField(help_text="An object, as JSON text.")


class ToolCall(serializers.Serializer):
    """A call of a tool by the assistant."""

    id = serializers.CharField(required=False)
    type = serializers.ChoiceField(["function"])
    function = Function()


class Turn(serializers.Serializer):
    """One turn of a conversation. What a turn does not have is left out."""

    role = serializers.ChoiceField(list(ROLES))
    content = ContentField()
    tool_calls = ToolCall(many=True, required=False, help_text="Of the assistant.")
    tool_call_id = serializers.CharField(required=False, help_text="What a tool's turn answers.")
    name = serializers.CharField(required=False, help_text="Of the tool whose turn it is.")


class ShownAnswer(serializers.Serializer):
    """An answer under the letter that its judge sees."""

    letter = serializers.CharField(
        help_text="A, B, C, … in the order shown, which is each labeler's own."
    )
    text = serializers.CharField(
        allow_blank=True, help_text="Markdown, from a model: never trust it."
    )


def counts_by_kind(help_text: str) -> serializers.DictField:
    """Counts by kind of judge: person, model, script, unknown."""
    return serializers.DictField(child=serializers.IntegerField(), help_text=help_text)


MOST_PER_PAGE = 100


def limit_field() -> serializers.IntegerField:
    """How much a page holds."""
    return serializers.IntegerField(
        required=False, min_value=1, max_value=MOST_PER_PAGE, default=20
    )


def key_field(largest: int = MOST_ID) -> serializers.IntegerField:
    """Where a page starts."""
    return serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=largest,
        help_text="Take it from `next` or `previous`.",
    )


class KeyPaging(Paging):
    """Pages that start at a key. The endpoint's own query says so."""

    def get_schema_operation_parameters(self, view: APIView) -> list[dict]:
        return []


def with_query(request: Request, others: tuple[str, ...], **key: int | None) -> str | None:
    """The address of this request with this key in place of `others`; None without a key."""
    [(name, value)] = key.items()
    if value is None:
        return None
    address = request.build_absolute_uri()
    for other in others:
        address = remove_query_param(address, other)
    return replace_query_param(address, name, value)


class Apart(ActionMixin):
    """An action with transactions of its own, because it takes long or waits for others. Its answer
    is stored afterwards.
    """

    def post(self, request: Request, *args, **kwargs) -> Response:
        keyed = "Idempotency-Key" in request.headers
        before = answered_before(request) if keyed else None
        if before is not None:
            return before
        answer = self.answer(self.act(self.given(request)))
        return (
            once(request, lambda: answer) if keyed else Response(answer.body, status=answer.status)
        )


class NotAnswered(Exception):
    """No request with this key was answered yet."""


def answered_before(request: Request) -> Response | None:
    """The stored answer to an earlier request with the same key, if there is one."""

    def not_answered() -> Answer:
        raise NotAnswered

    try:
        return once(request, not_answered)
    except NotAnswered:
        return None
