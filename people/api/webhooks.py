"""The webhooks of a project and their deliveries, for its admins."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from people.access import ADMINS
from people.api.base import (
    Action,
    ActionMixin,
    Answer,
    EditEndpoint,
    Endpoint,
    ListEndpoint,
    Listing,
)
from people.models import Delivery, Webhook
from people.webhooks import registry


class Events(serializers.ListField):
    child = serializers.ChoiceField(Webhook.Event.choices)

    def __init__(self, **options):
        super().__init__(allow_empty=False, max_length=len(Webhook.Event), **options)


class WebhookBody(serializers.ModelSerializer):
    """A webhook: its URL and the events it subscribes to."""

    events = Events()
    active = serializers.BooleanField(
        help_text="Whether events are sent to it. Write it to switch the webhook on or off."
    )
    created_by = serializers.EmailField(source="created_by.email", read_only=True)

    class Meta:
        model = Webhook
        fields = [
            "id",
            "url",
            "events",
            "active",
            "state",
            "failing_since",
            "created_by",
            "created_at",
        ]
        read_only_fields = ["id", "state", "failing_since", "created_at"]


class NewWebhook(serializers.ModelSerializer):
    events = Events(default=Webhook.Event.values)

    class Meta:
        model = Webhook
        fields = ["url", "events"]


class MadeWebhook(WebhookBody):
    """The response to a repeated request does not contain the secret."""

    secret = serializers.CharField(
        required=False, help_text="`whsec_…`, in the format of Standard Webhooks."
    )

    class Meta(WebhookBody.Meta):
        fields = [*WebhookBody.Meta.fields, "secret"]


class DeliveryBody(serializers.ModelSerializer):
    """The delivery of one event to one webhook, with the result of the last attempt."""

    payload = serializers.DictField(help_text="The body of the request to the webhook.")

    class Meta:
        model = Delivery
        fields = [
            "id",
            "webhook",
            "event",
            "event_id",
            "payload",
            "state",
            "attempts",
            "next_at",
            "status",
            "error",
        ]
        fields += ["response", "seconds", "created_at", "delivered_at"]
        read_only_fields = fields


class DeliveryFilter(filters.FilterSet):
    state = filters.ChoiceFilter(choices=Delivery.State.choices)
    event = filters.ChoiceFilter(choices=[*Webhook.Event.choices, (registry.PING, registry.PING)])
    since = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")


# The endpoints


class OfProject:
    roles = {"GET": ADMINS}

    def get_queryset(self) -> QuerySet[Webhook]:
        return Webhook.objects.filter(project=self.project).select_related("project", "created_by")


class Webhooks(OfProject, Listing, ActionMixin, Endpoint):
    """The project's webhooks."""

    serializer_class = WebhookBody
    filterset_fields = ["state"]
    input, output, status = NewWebhook, MadeWebhook, 201

    def get_serializer_class(self) -> type[BaseSerializer]:
        return WebhookBody

    def given(self, request: Request) -> dict[str, Any]:
        data = super().given(request)
        registry.look_up(data["url"])  # a DNS request: before the transaction that holds the key
        return data

    def act(self, data: dict[str, Any]) -> Answer:
        webhook, secret = registry.make(self.actor, self.project, **data)
        location = f"/api/v1/projects/{self.project.slug}/webhooks/{webhook.pk}"
        return Answer(WebhookBody(webhook).data, location=location, secret={"secret": secret})


class OneWebhook(OfProject, EditEndpoint):
    """A webhook: its URL, its events, and whether it is on."""

    serializer_class = WebhookBody

    def edit(self, webhook: Webhook, changes: dict[str, Any]) -> None:
        active = changes.pop("active", None)
        if changes.get("url", webhook.url) != webhook.url:
            registry.look_up(changes["url"])
        registry.change(self.actor, webhook, **changes)
        if active is not None:
            switch = registry.switch_on if active else registry.switch_off
            switch(self.actor, webhook)

    def delete(self, request: Request, *args, **kwargs) -> Response:
        """Remove the webhook and its deliveries."""
        registry.remove(self.actor, self.get_object())
        return Response(status=204)


class Secret(serializers.Serializer):
    """The response to a repeated request does not contain the secret."""

    secret = serializers.CharField(required=False)


class RenewSecret(OfProject, Action):
    """Create a new secret. For one day, events are also signed with the former one."""

    output = Secret

    def act(self, data: dict[str, Any]) -> Answer:
        secret = registry.renew_secret(self.actor, self.get_object())
        return Answer({}, status=200, secret={"secret": secret})


class Test(OfProject, Action):
    """Send a test event now. Its delivery shows the result."""

    output, status = DeliveryBody, 202

    def act(self, data: dict[str, Any]) -> Delivery:
        return registry.ping(self.actor, self.get_object())


class Deliveries(ListEndpoint):
    """The deliveries of a webhook, newest first."""

    roles = {"GET": ADMINS}
    serializer_class, filterset_class = DeliveryBody, DeliveryFilter

    def get(self, request: Request, *args, **kwargs) -> Response:
        get_object_or_404(Webhook, project=self.project, pk=kwargs["pk"])
        return super().get(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[Delivery]:
        return Delivery.objects.filter(webhook__project=self.project, webhook=self.kwargs.get("pk"))


class Redeliver(Action):
    """Send a delivery again now, in whatever state it is. It keeps its event id."""

    output, status = DeliveryBody, 202

    def get_queryset(self) -> QuerySet[Delivery]:
        return Delivery.objects.filter(webhook__project=self.project).select_related(
            "webhook__project"
        )

    def act(self, data: dict[str, Any]) -> Delivery:
        delivery = self.get_object()
        registry.redeliver(self.actor, delivery)
        return delivery
