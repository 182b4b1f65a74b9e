"""How far people agree on each question, for leads: as on the page of disagreements."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.models import Criterion
from labeling.quality import by_criterion
from people.access import LEADS
from people.api.base import Endpoint


class CriterionAgreement(serializers.Serializer):
    """How far people agree on one question, in one revision of it."""

    name = serializers.CharField(help_text="As judgments name it.")
    question = serializers.CharField()
    kind = serializers.ChoiceField(Criterion.Kind.choices)
    share = serializers.FloatField(
        help_text="Of the pairs of people who answered the same thing, those who said the same."
    )
    low = serializers.FloatField(
        allow_null=True, help_text="Of the 95 % interval, which draws prompts; null of one prompt."
    )
    high = serializers.FloatField(allow_null=True)
    alpha = serializers.FloatField(
        allow_null=True,
        help_text=(
            "Krippendorff's: 1 is full agreement, 0 chance. Of a scale squared differences count. "
            "Null where all said one thing."
        ),
    )
    compared = serializers.IntegerField(help_text="Pairs of answers to the question.")
    prompts = serializers.IntegerField()


class CriteriaAgreementBody(serializers.Serializer):
    """Of each question that two people have answered of the same thing."""

    results = CriterionAgreement(many=True)


class CriteriaAgreement(Endpoint):
    """How far people agree on each question, by the project's newest judgments."""

    roles, serializer_class = {"GET": LEADS}, CriteriaAgreementBody
    group = "criteria"

    def get(self, request: Request, *args, **kwargs) -> Response:
        rows = [vars(figure) for figure in by_criterion.figures(self.project)]
        return Response(CriteriaAgreementBody({"results": rows}).data)
