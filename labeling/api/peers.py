"""How far labelers agree with each other, for leads: as on the page of people."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.shared import counts_by_kind
from labeling.quality import peers, recent
from people.access import LEADS
from people.api.base import Endpoint


class PeerBody(serializers.Serializer):
    """One member's agreement with the others who ranked the same tasks."""

    member = serializers.IntegerField()
    name = serializers.CharField(allow_blank=True)
    share = serializers.FloatField(help_text="Of the pairs that both put in an order, those alike.")
    low = serializers.FloatField(
        allow_null=True, help_text="Of the 95 % interval, which draws prompts; null of one prompt."
    )
    high = serializers.FloatField(allow_null=True)
    pairs = serializers.IntegerField(help_text="Once for each other person who ordered them.")
    prompts = serializers.IntegerField()


class PeersBody(serializers.Serializer):
    """The members who ranked the same tasks as others, by the project's newest rankings."""

    results = PeerBody(many=True)
    left_out = counts_by_kind("Rankings by no person, by kind of judge: they are not compared.")
    prompted = serializers.IntegerField(
        help_text="Rankings that were made after seeing what others say: none counts here."
    )


class Peers(Endpoint):
    """How far each member agrees with the others, for leads and admins."""

    roles, serializer_class = {"GET": LEADS}, PeersBody
    group = "members"

    def get(self, request: Request, *args, **kwargs) -> Response:
        figures = peers.figures(self.project)
        members = self.project.memberships.select_related("user").order_by("pk")
        rows = [
            {"member": member.pk, "name": member.user.name} | vars(figures[member.user.uuid])
            for member in members
            if member.user.uuid in figures
        ]
        left_out, prompted = recent.left_out(self.project), recent.prompted(self.project)
        body = {"results": rows, "left_out": left_out, "prompted": prompted}
        return Response(PeersBody(body).data)
