"""What several resources show, take or do."""

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
    """An answer under the letter that a judge sees it by."""

    letter = serializers.CharField(
        help_text="A, B, C, … in the order shown, which is each labeler's own."
    )
    text = serializers.CharField(
        allow_blank=True, help_text="Markdown, from a model: never trust it."
    )


class Apart(Act):
    """A verb with transactions of its own, for it takes long or waits for others: what it answers
    is kept afterwards.
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


class Unheard(Exception):
    """Nothing was answered yet to a request with this key."""


def answered_before(request: Request) -> Response | None:
    """What the same request with the same key was answered before, if it was."""

    def unheard() -> Answer:
        raise Unheard

    try:
        return once(request, unheard)
    except Unheard:
        return None
