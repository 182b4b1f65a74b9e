"""What several resources share."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from people.api.base import Act, Answer, once


class Turn(serializers.Serializer):
    """One turn of a conversation."""

    role = serializers.ChoiceField(["system", "user", "assistant"])
    content = serializers.CharField()


class ShownAnswer(serializers.Serializer):
    """An answer under the letter that its judge sees."""

    letter = serializers.CharField(
        help_text="A, B, C, … in the order shown, which is each labeler's own."
    )
    text = serializers.CharField(
        allow_blank=True, help_text="Markdown, from a model: never trust it."
    )


class Apart(Act):
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
