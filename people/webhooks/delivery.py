"""What is sent to webhooks: a delivery is claimed for a while, sent, and what came of it is kept;
failed ones go again later.

The table is the queue (people/outbox.py). A delivery that is sent once more has the same id. Signed
as Standard Webhooks says (https://www.standardwebhooks.com).
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

import httpx
from django.db import transaction
from django.db.models import QuerySet
from django.utils.timezone import now
from standardwebhooks import Webhook as Signer

from people import outbox, public_urls
from people.models import Delivery, Webhook
from people.webhooks import registry

State = Delivery.State
MINUTE, HOUR = 60, 3600
LATER = (
    5,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
)  # as it recommends
JITTER = 0.2  # either way, so that what failed together doesn't come again together
TIMEOUT = 10  # seconds to connect, and for each read and write
WHOLE = 15  # seconds for all of an attempt: some servers answer a byte at a time
AT_ONCE = 10  # deliveries to one webhook; one alone while it fails, to see whether it is back
WEBHOOKS_AT_ONCE = 20
FAILING = timedelta(days=5)
SHOWN = 1000  # characters of what was answered
_sending = threading.Lock()


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt."""

    status: int | None = None
    response: str = ""
    error: str = ""
    seconds: float = 0.0


# Taking


def due() -> QuerySet[Delivery]:
    """What is to be sent now, and nobody is at."""
    return outbox.due(Delivery)


def claim(pk: int) -> Delivery | None:
    """Take this one for a while; None when somebody else was first."""
    if not outbox.claim(Delivery, pk):
        return None
    return Delivery.objects.select_related("webhook__project").get(pk=pk)


def claim_some() -> list[Delivery]:
    """A few for each webhook, so that none waits for all that another one has missed."""
    taken = []
    waiting = due().order_by("webhook").values_list("webhook", "webhook__failing_since").distinct()
    for webhook, failing in waiting[:WEBHOOKS_AT_ONCE]:
        pks = due().filter(webhook=webhook).order_by("next_at", "pk").values_list("pk", flat=True)
        taken += [
            delivery for pk in list(pks[: 1 if failing else AT_ONCE]) if (delivery := claim(pk))
        ]
    return taken


def deliver() -> None:
    outbox.drain(Delivery, _sending, send_some)


def send_some() -> None:
    taken = claim_some()
    wanted = [one for one in taken if one.webhook.active or one.event == registry.PING]
    for delivery in taken:
        if delivery not in wanted:
            end(delivery, Outcome(error="Its webhook was switched off."))
    for delivery, outcome in zip(
        wanted, asyncio.run(send([parcel(one) for one in wanted])), strict=True
    ):
        conclude(delivery, outcome)


# Sending


@dataclass(frozen=True)
class Parcel:
    url: str
    body: bytes
    headers: dict[str, str]


def parcel(delivery: Delivery) -> Parcel:
    body, at = json.dumps(delivery.payload, separators=(",", ":")), datetime.now(UTC)
    signed = [
        Signer(one).sign(delivery.event_id, at, body) for one in registry.secrets(delivery.webhook)
    ]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Podium",
        "Accept-Encoding": "identity",  # only the beginning of what is answered is read
        "webhook-id": delivery.event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signed),
    }
    return Parcel(delivery.webhook.url, body.encode(), headers)


class Looked(httpx.AsyncHTTPTransport):
    """Looks a host up itself and goes where it looked, so that the name can't mean another address
    a moment later.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {
            **request.extensions,
            "sni_hostname": request.url.raw_host.decode("ascii"),
        }
        request.url = request.url.copy_with(
            host=await asyncio.to_thread(public_urls.reached, request.url)
        )
        return await super().handle_async_request(request)


async def send(parcels: list[Parcel]) -> list[Outcome]:
    """All at once: none waits for another one's server."""
    transport = Looked(limits=httpx.Limits())
    async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT, trust_env=False) as client:
        return await asyncio.gather(*[attempt(client, one) for one in parcels])


async def attempt(client: httpx.AsyncClient, parcel: Parcel) -> Outcome:
    begun = monotonic()
    try:
        async with asyncio.timeout(WHOLE):
            status, said = await post(client, parcel)
    except TimeoutError:
        error = f"It did not answer within {WHOLE} seconds."
    except httpx.TimeoutException:
        error = f"It was silent for {TIMEOUT} seconds."
    except (
        Exception
    ) as wrong:  # whatever it is, it is kept with this delivery and holds up no other
        error = str(wrong) or type(wrong).__name__
    else:
        error = "" if 200 <= status < 300 else f"It answered {status}."
        return Outcome(status, said, error, monotonic() - begun)
    return Outcome(error=error, seconds=monotonic() - begun)


async def post(client: httpx.AsyncClient, parcel: Parcel) -> tuple[int, str]:
    """The status, and the beginning of what was answered. A redirect is not followed."""
    said = b""
    async with client.stream(
        "POST", parcel.url, content=parcel.body, headers=parcel.headers
    ) as response:
        async for part in response.aiter_raw():
            said += part
            if len(said) > 4 * SHOWN:  # bytes, four to a character at most
                break
    return response.status_code, said.decode(errors="replace").replace("\0", "")[:SHOWN]


# What came of it


@transaction.atomic
def conclude(delivery: Delivery, outcome: Outcome) -> None:
    """Keep what came of an attempt, say when to try again, and switch off what is gone or has
    failed for long.
    """
    webhook, gone = delivery.webhook, outcome.status == 410
    if not outcome.error:
        kept = end(delivery, outcome, State.DELIVERED)
    elif delivery.event == registry.PING or delivery.attempts > len(LATER) or gone:
        kept = end(delivery, outcome)
    else:
        kept = write(
            delivery, outcome, state=State.FAILED, next_at=now() + later(delivery.attempts)
        )
    if not kept:
        return
    if not outcome.error:
        Webhook.objects.filter(pk=webhook.pk, failing_since__isnull=False).update(
            failing_since=None
        )
    elif gone:
        registry.switch_off(None, webhook, Webhook.State.GONE)
    elif has_failed_for_long(webhook):
        registry.switch_off(None, webhook, Webhook.State.FAILING)


def has_failed_for_long(webhook: Webhook) -> bool:
    this = Webhook.objects.filter(pk=webhook.pk)
    this.filter(failing_since=None).update(failing_since=now())
    return this.filter(failing_since__lt=now() - FAILING).exists()


def later(attempts: int) -> timedelta:
    return timedelta(seconds=LATER[attempts - 1] * random.uniform(1 - JITTER, 1 + JITTER))


def end(delivery: Delivery, outcome: Outcome, state: State = State.GIVEN_UP) -> bool:
    return write(
        delivery,
        outcome,
        state=state,
        next_at=None,
        delivered_at=now() if state == State.DELIVERED else None,
    )


def write(delivery: Delivery, outcome: Outcome, **fields) -> bool:
    said = {"status": outcome.status, "response": outcome.response, "seconds": outcome.seconds}
    return outbox.write(delivery, error=outcome.error[:300], **said, **fields)


def wake_waiting() -> None:
    """Have sent what is due; the sweep calls this."""
    if due().exists():
        registry.wake()
