"""Webhook delivery: claim a delivery, send it, store the result, and retry after a failure.

The table is the queue (people/outbox.py). A retry has the same event id. Requests are signed as
Standard Webhooks defines (https://www.standardwebhooks.com).
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
# seconds until the next attempt, as Standard Webhooks recommends
RETRY_SECONDS = (
    5,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
)
JITTER = 0.2  # of the delay, up or down, so that failures of one moment don't retry together
TIMEOUT = 10  # seconds to connect, and for each read and write
ATTEMPT_SECONDS = 15  # for a whole attempt: some servers send one byte at a time
BATCH = 10  # deliveries per webhook; only one while it is failing, as a probe
WEBHOOKS_PER_BATCH = 20
FAILING = timedelta(days=5)  # without a success, after which a webhook is switched off
RESPONSE_LENGTH = 1000  # characters of a response that are stored
_sending = threading.Lock()


@dataclass(frozen=True)
class Outcome:
    """The result of one attempt."""

    status: int | None = None
    response: str = ""
    error: str = ""
    seconds: float = 0.0


# Claiming


def due() -> QuerySet[Delivery]:
    """Deliveries whose next attempt is due and that no worker has claimed."""
    return outbox.due(Delivery)


def claim(pk: int) -> Delivery | None:
    """Claim the delivery. None where another worker claimed it first."""
    if not outbox.claim(Delivery, pk):
        return None
    return Delivery.objects.select_related("webhook__project").get(pk=pk)


def claim_some() -> list[Delivery]:
    """Claim a few deliveries of each webhook, so that none waits for another one's backlog."""
    claimed = []
    waiting = due().order_by("webhook").values_list("webhook", "webhook__failing_since").distinct()
    for webhook, failing_since in waiting[:WEBHOOKS_PER_BATCH]:
        count = 1 if failing_since else BATCH
        pks = due().filter(webhook=webhook).order_by("next_at", "pk").values_list("pk", flat=True)
        for pk in list(pks[:count]):
            delivery = claim(pk)
            if delivery:
                claimed.append(delivery)
    return claimed


def deliver() -> None:
    """Send all deliveries that are due. The Celery task calls this."""
    outbox.drain(Delivery, _sending, send_some)


def send_some() -> None:
    """Send one batch concurrently. A webhook that is off gets nothing but a ping."""
    sendable = []
    for delivery in claim_some():
        if delivery.webhook.active or delivery.event == registry.PING:
            sendable.append(delivery)
        else:
            end(delivery, Outcome(error="Its webhook was switched off."))
    outcomes = asyncio.run(send([signed_request(delivery) for delivery in sendable]))
    for delivery, outcome in zip(sendable, outcomes, strict=True):
        conclude(delivery, outcome)


# Sending


@dataclass(frozen=True)
class SignedRequest:
    """An HTTP request with its signature."""

    url: str
    body: bytes
    headers: dict[str, str]


def signed_request(delivery: Delivery) -> SignedRequest:
    """The request of this delivery, signed with each valid secret of its webhook."""
    body = json.dumps(delivery.payload, separators=(",", ":"))
    at = datetime.now(UTC)
    signatures = [
        Signer(secret).sign(delivery.event_id, at, body)
        for secret in registry.secrets(delivery.webhook)
    ]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Podium",
        "Accept-Encoding": "identity",  # only the beginning of the response is read
        "webhook-id": delivery.event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    return SignedRequest(delivery.webhook.url, body.encode(), headers)


class ResolvingTransport(httpx.AsyncHTTPTransport):
    """Resolves the host itself and connects to the address it checked, so that a second DNS lookup
    can't return a private address (DNS rebinding).
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {
            **request.extensions,
            "sni_hostname": request.url.raw_host.decode("ascii"),
        }
        address = await asyncio.to_thread(public_urls.reached, request.url)
        request.url = request.url.copy_with(host=address)
        return await super().handle_async_request(request)


async def send(requests: list[SignedRequest]) -> list[Outcome]:
    """Send all requests concurrently, so that none waits for another one's server."""
    transport = ResolvingTransport(limits=httpx.Limits())
    async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT, trust_env=False) as client:
        return await asyncio.gather(*[attempt(client, request) for request in requests])


async def attempt(client: httpx.AsyncClient, request: SignedRequest) -> Outcome:
    """Send one request. Every failure becomes an Outcome; no exception is raised."""
    started = monotonic()
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS):
            status, response = await post(client, request)
    except TimeoutError:
        error = f"No response within {ATTEMPT_SECONDS} seconds."
    except httpx.TimeoutException:
        error = f"No data for {TIMEOUT} seconds."
    except Exception as failure:  # stored with this delivery; must not stop the others
        error = str(failure) or type(failure).__name__
    else:
        error = "" if 200 <= status < 300 else f"The server answered {status}."
        return Outcome(status, response, error, monotonic() - started)
    return Outcome(error=error, seconds=monotonic() - started)


async def post(client: httpx.AsyncClient, request: SignedRequest) -> tuple[int, str]:
    """The status, and the first RESPONSE_LENGTH characters of the response. Follows no redirect."""
    content = b""
    async with client.stream(
        "POST", request.url, content=request.body, headers=request.headers
    ) as response:
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > 4 * RESPONSE_LENGTH:  # a character has at most four bytes
                break
    text = content.decode(errors="replace").replace("\0", "")  # PostgreSQL stores no NUL
    return response.status_code, text[:RESPONSE_LENGTH]


# Results


@transaction.atomic
def conclude(delivery: Delivery, outcome: Outcome) -> None:
    """Store the result of an attempt and schedule the next one.

    A webhook is switched off once its server answers 410, or once it has failed for FAILING.
    """
    webhook = delivery.webhook
    gone = outcome.status == 410
    exhausted = delivery.attempts > len(RETRY_SECONDS)
    if not outcome.error:
        saved = end(delivery, outcome, State.DELIVERED)
    elif delivery.event == registry.PING or exhausted or gone:
        saved = end(delivery, outcome)
    else:
        next_at = now() + retry_delay(delivery.attempts)
        saved = write(delivery, outcome, state=State.FAILED, next_at=next_at)
    if not saved:  # another worker has claimed it since
        return
    if not outcome.error:
        failing = Webhook.objects.filter(pk=webhook.pk, failing_since__isnull=False)
        failing.update(failing_since=None)
    elif gone:
        registry.switch_off(None, webhook, Webhook.State.GONE)
    elif has_failed_for_long(webhook):
        registry.switch_off(None, webhook, Webhook.State.FAILING)


def has_failed_for_long(webhook: Webhook) -> bool:
    """Note when the failures began. Returns whether that was more than FAILING ago."""
    this = Webhook.objects.filter(pk=webhook.pk)
    this.filter(failing_since=None).update(failing_since=now())
    return this.filter(failing_since__lt=now() - FAILING).exists()


def retry_delay(attempts: int) -> timedelta:
    """The delay after this many attempts, with jitter."""
    jitter = random.uniform(1 - JITTER, 1 + JITTER)
    return timedelta(seconds=RETRY_SECONDS[attempts - 1] * jitter)


def end(delivery: Delivery, outcome: Outcome, state: State = State.GIVEN_UP) -> bool:
    """Store the last attempt. False where another worker has claimed the delivery since."""
    delivered_at = now() if state == State.DELIVERED else None
    return write(delivery, outcome, state=state, next_at=None, delivered_at=delivered_at)


def write(delivery: Delivery, outcome: Outcome, **fields) -> bool:
    """Store the outcome and `fields`. False where another worker has claimed the delivery since."""
    return outbox.write(
        delivery,
        status=outcome.status,
        response=outcome.response,
        seconds=outcome.seconds,
        error=outcome.error[:300],
        **fields,
    )


def wake_waiting() -> None:
    """Wake a worker where a delivery is due. The sweep calls this."""
    if due().exists():
        registry.wake()
