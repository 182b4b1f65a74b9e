"""Webhooks: made, changed, renewed, removed; and what is told to them.

An event is a row for each webhook that waits for it (Delivery), written in the transaction of the
deed, so that nothing is lost when a process dies; `deliveries` sends them. What a project's
webhooks wait for stands on the project, which every verb has at hand: where nobody waits, telling
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
MOST = 20  # of one project
PING = "webhook.ping"
BOTH_SIGN = timedelta(
    days=1
)  # after a renewal, so that no event is refused while its receiver is told the new secret


# Telling


def tell(project: Project, event: str, at: str, **about: Any) -> None:
    """Note an event for each webhook that waits for it. Call it inside the transaction of the deed,
    as of audit.record.

    `at` is where below the project the API tells of the thing; `about` is small, and names nobody
    and no text.
    """
    if event not in project.awaited:
        return
    active = Webhook.objects.filter(project=project, state=State.ACTIVE)
    payload, event_id = _payload(project, event, at, about), new_id()
    Delivery.objects.bulk_create(
        Delivery(webhook=one, event=event, event_id=event_id, payload=payload)
        for one in active
        if event in one.events
    )
    wake()


def _payload(project: Project, event: str, at: str, about: dict[str, Any]) -> dict[str, Any]:
    there = {"project": project.slug, "address": f"/api/v1/projects/{project.slug}/{at}"}
    return {"type": event, "timestamp": now().isoformat(), "data": about | there}


def new_id() -> str:
    return f"msg_{uuid4().hex}"


@transaction.atomic
def ping(actor: User, webhook: Webhook) -> Delivery:
    """Send something now, to see whether it arrives; also where the webhook is off. It is tried
    once.
    """
    payload = _payload(webhook.project, PING, f"webhooks/{webhook.pk}", {"webhook": webhook.pk})
    delivery = Delivery.objects.create(
        webhook=webhook, event=PING, event_id=new_id(), payload=payload
    )
    audit.record(actor, "ping webhook", webhook, webhook.project)
    wake()
    return delivery


@transaction.atomic
def redeliver(actor: User, delivery: Delivery) -> None:
    """Send it now, whatever became of it; its receiver knows it by its id. Raises Refused where its
    webhook is off.
    """
    webhook = delivery.webhook
    if not webhook.active and delivery.event != PING:
        raise Refused(_("This webhook is off: switch it on first."))
    Delivery.objects.filter(pk=delivery.pk).update(
        state=Delivery.State.WAITING, next_at=now(), delivered_at=None
    )
    audit.record(actor, "redeliver", delivery, webhook.project, event=delivery.event_id)
    wake()
    delivery.refresh_from_db()


def wake() -> None:
    """After commit, tell a worker to look at what waits."""
    transaction.on_commit(lambda: outbox.wake("webhooks.deliver"))


# Making and changing


def look_up(url: str) -> None:
    """Raises Refused for the address of a host that is private, or unknown. It asks the net: before
    any transaction.
    """
    try:
        public_urls.reached(httpx.URL(url))
    except public_urls.NotPublic as error:
        raise Refused(str(error), "url") from error
    except OSError as error:
        raise Refused(_("There is no such host."), "url") from error


@transaction.atomic
def make(actor: User, project: Project, url: str, events: list[str]) -> tuple[Webhook, str]:
    """A new webhook and its secret, which is told this once. Raises Refused for one too many."""
    _lock(project)
    if Webhook.objects.filter(project=project).count() >= MOST:
        raise Refused(_("A project has at most %(n)s webhooks: remove one first.") % {"n": MOST})
    webhook = Webhook.objects.create(
        project=project, url=url, events=in_order(events), created_by=actor
    )
    _note_awaited(project)
    audit.record(actor, "make webhook", webhook, project, url=url, events=webhook.events)
    return webhook, secret(webhook.salt)


@transaction.atomic
def change(actor: User, webhook: Webhook, **fields: Any) -> None:
    """Another address, other events; only what differs is written."""
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
    """It is told of what happens from now on. Twice is harmless."""
    _lock(webhook.project)
    this = Webhook.objects.filter(pk=webhook.pk).exclude(state=State.ACTIVE)
    if this.update(state=State.ACTIVE, failing_since=None):
        _note_awaited(webhook.project)
        audit.record(actor, "switch on webhook", webhook, webhook.project)
    webhook.refresh_from_db(fields=["state", "failing_since"])


@transaction.atomic
def switch_off(actor: User | None, webhook: Webhook, why: State = State.OFF) -> None:
    """It is told of nothing more; what still waits for it is given up when its turn comes. Twice is
    harmless.
    """
    _lock(webhook.project)
    if Webhook.objects.filter(pk=webhook.pk, state=State.ACTIVE).update(state=why):
        _note_awaited(webhook.project)
        audit.record(actor, "switch off webhook", webhook, webhook.project, state=why)
        webhook.state = why


@transaction.atomic
def renew_secret(actor: User, webhook: Webhook) -> str:
    """The new secret, told this once. For a day events are signed with the former one too."""
    salts = {"salt": uuid4(), "former_salt": webhook.salt, "renewed_at": now()}
    Webhook.objects.filter(pk=webhook.pk).update(**salts)
    audit.record(actor, "renew secret of webhook", webhook, webhook.project)
    webhook.refresh_from_db()
    return secret(webhook.salt)


def remove(actor: User, webhook: Webhook) -> None:
    """It goes, and its log with it."""
    switch_off(actor, webhook)
    retention.delete(webhook.deliveries.all())
    with transaction.atomic():
        audit.record(actor, "remove webhook", webhook, webhook.project, url=webhook.url)
        webhook.delete()


def in_order(events: list[str]) -> list[str]:
    return [event for event in Webhook.Event.values if event in events]


def _lock(project: Project) -> None:
    """Two changes at once would each note what they alone know."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)


def _note_awaited(project: Project) -> None:
    active = Webhook.objects.filter(project=project, state=State.ACTIVE).values_list(
        "events", flat=True
    )
    project.awaited = in_order([event for events in active for event in events])
    project.save(update_fields=["awaited"])


# Secrets


def secret(salt: UUID) -> str:
    """As Standard Webhooks writes one. Who has the database alone can't sign."""
    key = salted_hmac("webhook", str(salt), secret=settings.SECRET_KEY, algorithm="sha256").digest()
    return f"whsec_{b64encode(key).decode()}"


def secrets(webhook: Webhook) -> list[str]:
    """Those that sign now."""
    renewed = webhook.former_salt is not None and now() - webhook.renewed_at < BOTH_SIGN
    return [secret(webhook.salt), *([secret(webhook.former_salt)] if renewed else [])]
