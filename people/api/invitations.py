"""Invitations to a project by its admins, or to the site by its administrators."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from people import invitations, signup
from people.access import ADMINS, Role, invitation_or_404
from people.api.base import ActionMixin, Answer, Endpoint, Listing, SiteAction, SiteEndpoint
from people.models import Invitation, Project


class InvitationBody(serializers.ModelSerializer):
    project = serializers.SlugRelatedField(slug_field="slug", read_only=True, allow_null=True)

    class Meta:
        model = Invitation
        fields = ["id", "email", "project", "role", "state", "expires_at", "expired", "created_at"]


class MadeInvitation(InvitationBody):
    """The link is also sent by e-mail, if that is set up. The response to a repeated request does
    not contain it.
    """

    link = serializers.URLField(required=False)

    class Meta(InvitationBody.Meta):
        fields = [*InvitationBody.Meta.fields, "link"]


class ToSite(serializers.Serializer):
    email = serializers.EmailField(max_length=254)


class ToProject(ToSite):
    role = serializers.ChoiceField(Role.choices, default=Role.LABELER)


def made(request: Request, invitation: Invitation, token: str) -> Answer:
    """Mail the invitation and return it with its link."""
    link = request.build_absolute_uri(reverse("join", args=[token]))
    signup.mail_link(request, invitation, link)
    return Answer(
        InvitationBody(invitation).data,
        location=f"/api/v1/invitations/{invitation.pk}",
        secret={"link": link},
    )


class Inviting(Listing, ActionMixin):
    serializer_class = InvitationBody
    output, status = MadeInvitation, 201
    into: Project | None = None

    def get_serializer_class(self) -> type[BaseSerializer]:
        return InvitationBody

    def get_queryset(self) -> QuerySet[Invitation]:
        return invitations.open_to(self.into).select_related("project")

    def act(self, data: dict[str, Any]) -> Answer:
        role = data.get("role", "")
        invitation, token = invitations.invite(self.actor, data["email"], self.into, role)
        return made(self.request, invitation, token)


class SiteInvitations(Inviting, SiteEndpoint):
    """Invitations to the site, without a project."""

    staff = True
    input = ToSite

    def act(self, data: dict[str, Any]) -> Answer:
        return made(self.request, *invitations.invite(self.actor, data["email"], None))


class ProjectInvitations(Inviting, Endpoint):
    """Invitations to the project."""

    roles = {"GET": ADMINS}
    input = ToProject

    @property
    def into(self) -> Project:
        return self.project


class OneInvitation(SiteEndpoint):
    """One invitation."""

    serializer_class = InvitationBody
    queryset = Invitation.objects.all()

    def delete(self, request: Request, *args, **kwargs) -> Response:
        """Withdraw the invitation: its link stops working."""
        invitations.withdraw(self.actor, invitation_or_404(self.actor, kwargs["pk"]))
        return Response(status=204)


class Renew(SiteAction):
    """Create a new link. The old one stops working."""

    output = MadeInvitation
    queryset = Invitation.objects.all()

    def act(self, data: dict[str, Any]) -> Answer:
        invitation = invitation_or_404(self.actor, self.kwargs["pk"])
        return made(self.request, *invitations.renew(self.actor, invitation))
