"""Webhooks: create, change, switch and remove them, renew their secrets, and emit events.

An event creates one Delivery for each webhook that subscribes to it, in the transaction of the
action, so that no event is lost when a process dies; `delivery` sends them. `Project.awaited` lists
the events with a subscriber. Every action has loaded the project, so an event without subscribers
costs no query.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from django.conf import settings
from django.db import transaction
from django.utils.crypto import salted_hmac
from django.utils.timezone import now
from django.utils.translation import gettext as _

from people import audit, outbox, public_urls, retention
from people.access import Refused
from people.models import Delivery, Project, User, Webhook

State = Webhook.State
MOST = 20  # webhooks per project
PING = "webhook.ping"
# For how long after a renewal the former secret signs too, so that the receiver can be updated.
BOTH_SIGN = timedelta(days=1)


# Events


def emit(project: Project, event: str, at: str, **about: Any) -> None:
    """Create a delivery for each webhook that subscribes to the event.

    Call it inside the action's transaction, like audit.record. `at` is the object's API path below
    the project. `about` goes into the payload; it must not hold names, e-mails or texts.
    """
    if event not in project.awaited:
        return
    active = Webhook.objects.filter(project=project, state=State.ACTIVE)
    payload, event_id = _payload(project, event, at, about), new_id()
    Delivery.objects.bulk_create(
        Delivery(webhook=webhook, event=event, event_id=event_id, payload=payload)
        for webhook in active
        if event in webhook.events
    )
    wake()


def _payload(project: Project, event: str, at: str, about: dict[str, Any]) -> dict[str, Any]:
    address = f"{settings.PATH}/api/v1/projects/{project.slug}/{at}"
    location = {"project": project.slug, "address": address}
    return {"type": event, "timestamp": now().isoformat(), "data": about | location}


def new_id() -> str:
    return f"msg_{uuid4().hex}"


@transaction.atomic
def ping(actor: User, webhook: Webhook) -> Delivery:
    """Send a test event now, even where the webhook is off. It is not retried."""
    payload = _payload(webhook.project, PING, f"webhooks/{webhook.pk}", {"webhook": webhook.pk})
    delivery = Delivery.objects.create(
        webhook=webhook, event=PING, event_id=new_id(), payload=payload
    )
    audit.record(actor, "ping webhook", webhook, webhook.project)
    wake()
    return delivery


@transaction.atomic
def redeliver(actor: User, delivery: Delivery) -> None:
    """Send the delivery again now, in whatever state it is. It keeps its event id.

    Raises Refused where its webhook is off.
    """
    webhook = delivery.webhook
    if not webhook.active and delivery.event != PING:
        raise Refused(_("This webhook is off. Switch it on first."))
    Delivery.objects.filter(pk=delivery.pk).update(
        state=Delivery.State.WAITING, next_at=now(), delivered_at=None
    )
    audit.record(actor, "redeliver", delivery, webhook.project, event=delivery.event_id)
    wake()
    delivery.refresh_from_db()


def wake() -> None:
    """Wake a worker after the commit."""
    transaction.on_commit(lambda: outbox.wake("webhooks.deliver"))


# Creating and changing


def look_up(url: str) -> None:
    """Raises Refused where the URL's host is unknown or has a private address.

    It makes a DNS request, so call it outside any transaction.
    """
    try:
        public_urls.reached(httpx.URL(url))
    except public_urls.NotPublic as error:
        raise Refused(str(error), "url") from error
    except OSError as error:
        raise Refused(_("This host does not exist."), "url") from error


@transaction.atomic
def make(actor: User, project: Project, url: str, events: list[str]) -> tuple[Webhook, str]:
    """Create a webhook. Returns it with its secret. Raises Refused for more than MOST."""
    _lock(project)
    if Webhook.objects.filter(project=project).count() >= MOST:
        raise Refused(
            _("A project can have at most %(n)s webhooks. Remove one first.") % {"n": MOST}
        )
    webhook = Webhook.objects.create(
        project=project, url=url, events=in_order(events), created_by=actor
    )
    _note_awaited(project)
    audit.record(actor, "make webhook", webhook, project, url=url, events=webhook.events)
    return webhook, secret(webhook.salt)


@transaction.atomic
def change(actor: User, webhook: Webhook, **fields: Any) -> None:
    """Change the URL or the events. Only fields that differ are saved."""
    _lock(webhook.project)
    if "events" in fields:
        fields["events"] = in_order(fields["events"])
    changed = [name for name, value in fields.items() if getattr(webhook, name) != value]
    for name in changed:
        setattr(webhook, name, fields[name])
    if changed:
        webhook.save(update_fields=changed)
        _note_awaited(webhook.project)
        audit.record(
            actor,
            "change webhook",
            webhook,
            webhook.project,
            **{name: fields[name] for name in changed},
        )


@transaction.atomic
def switch_on(actor: User, webhook: Webhook) -> None:
    """Send it events from now on. Switching on twice is harmless."""
    _lock(webhook.project)
    this = Webhook.objects.filter(pk=webhook.pk).exclude(state=State.ACTIVE)
    if this.update(state=State.ACTIVE, failing_since=None):
        _note_awaited(webhook.project)
        audit.record(actor, "switch on webhook", webhook, webhook.project)
    webhook.refresh_from_db(fields=["state", "failing_since"])


@transaction.atomic
def switch_off(actor: User | None, webhook: Webhook, why: State = State.OFF) -> None:
    """Send it no more events. Waiting deliveries are given up when they are due.

    Switching off twice is harmless.
    """
    _lock(webhook.project)
    if Webhook.objects.filter(pk=webhook.pk, state=State.ACTIVE).update(state=why):
        _note_awaited(webhook.project)
        audit.record(actor, "switch off webhook", webhook, webhook.project, state=why)
        webhook.state = why


@transaction.atomic
def renew_secret(actor: User, webhook: Webhook) -> str:
    """Create and return a new secret. For BOTH_SIGN, the former one signs too."""
    salts = {"salt": uuid4(), "former_salt": webhook.salt, "renewed_at": now()}
    Webhook.objects.filter(pk=webhook.pk).update(**salts)
    audit.record(actor, "renew secret of webhook", webhook, webhook.project)
    webhook.refresh_from_db()
    return secret(webhook.salt)


def remove(actor: User, webhook: Webhook) -> None:
    """Delete the webhook and its deliveries."""
    switch_off(actor, webhook)
    retention.delete(webhook.deliveries.all())
    with transaction.atomic():
        audit.record(actor, "remove webhook", webhook, webhook.project, url=webhook.url)
        webhook.delete()


def in_order(events: list[str]) -> list[str]:
    """The events in the order of Webhook.Event, without duplicates."""
    return [event for event in Webhook.Event.values if event in events]


def _lock(project: Project) -> None:
    """Serialize changes: two concurrent ones would each save an incomplete `awaited`."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)


def _note_awaited(project: Project) -> None:
    active = Webhook.objects.filter(project=project, state=State.ACTIVE).values_list(
        "events", flat=True
    )
    project.awaited = in_order([event for events in active for event in events])
    project.save(update_fields=["awaited"])


# Secrets


def secret(salt: UUID) -> str:
    """The secret in the format of Standard Webhooks. The database alone doesn't yield it."""
    key = salted_hmac("webhook", str(salt), secret=settings.SECRET_KEY, algorithm="sha256").digest()
    return f"whsec_{b64encode(key).decode()}"


def secrets(webhook: Webhook) -> list[str]:
    """The secrets that sign now: the current one and, for BOTH_SIGN, the former one."""
    salts = [webhook.salt]
    if webhook.former_salt is not None and now() - webhook.renewed_at < BOTH_SIGN:
        salts.append(webhook.former_salt)
    return [secret(salt) for salt in salts]
