"""Answers from a server that speaks OpenAI's protocol: vLLM, llama.cpp, a hosted one.

All answers that are wanted to one conversation are asked for in one request (n), a few requests at
once; what fails for now is asked again, later each time or when the server says. Nothing is sent to
a private address that is not allowed, and no redirect is followed.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from email.utils import parsedate_to_datetime
from time import time

import httpx
import tenacity

from modelops.rows import content_text, turn_text
from workers.engines.answers import Sample

ATTEMPTS = 6
BACKOFF = tenacity.wait_random_exponential(multiplier=0.5, max=30)
LONGEST_WAIT = 300  # seconds: a server that says to come back tomorrow fails the job instead
TIMEOUT = httpx.Timeout(600, connect=10)  # an answer comes whole, when its last token is drawn
FOR_NOW = {408, 409, 425, 429, 500, 502, 503, 504}
NAT64 = ipaddress.ip_network("64:ff9b::/96")
SPECIAL = [  # as people/public_urls.py has them, where the reasons are
    ipaddress.ip_network(network)
    for network in (
        *("192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4"),
        *("::/3", "4000::/2", "8000::/1", "2001::/23", "2002::/16", "3fff::/20"),
    )
]
NEUTRAL = {
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
}  # not OpenAI's own: sent only where they do something


class Unanswered(Exception):
    """The server can't be asked, or gave no answer; the text says what it said."""


class OpenAIEngine:
    """One model of one server: `model` is its name there, a LoRA adapter's where the server holds
    several.

    `address` ends before `/chat/completions`. `allowed` names hosts (`host` or `host:port`) that
    may have a private address, and be asked without TLS. Raises ValueError for an address that is
    never asked.
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        key: str = "",
        allowed: Collection[str] = (),
        requests: int = 8,
    ):
        self.url, self.model, self.requests = (
            httpx.URL(address.rstrip("/") + "/chat/completions"),
            model,
            requests,
        )
        trusted = bool({self.url.host, self.url.netloc.decode()} & set(allowed))
        if self.url.scheme != "https" and not (trusted and self.url.scheme == "http"):
            raise ValueError(f"{address} is not https, and its host is not allowed without")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        transport = httpx.HTTPTransport() if trusted else PublicOnly()
        self.client = httpx.Client(
            headers=headers, timeout=TIMEOUT, transport=transport, trust_env=False
        )

    def close(self) -> None:
        self.client.close()

    def sample(self, conversations: list[list[dict]], seeds: list[int], **settings) -> list[Sample]:
        """One answer to each conversation, in their order; the settings are those of `stream`."""
        samples = dict(self.stream(conversations, seeds, **settings))
        return [samples[number] for number in range(len(conversations))]

    def stream(
        self,
        conversations: list[list[dict]],
        seeds: list[int],
        *,
        temperature: float = 0.8,
        top_p: float = 0.95,
        top_k: int = 50,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        stop: Collection[str] = (),
        max_tokens: int = 128,
        batch: int = 64,
        tick: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[int, Sample]]:
        """Each conversation's number and answer, a conversation's answers together (repeat it for
        several).

        They share the first one's seed. How far a server repeats an answer is its own affair.
        `batch` is: the server fills its batches itself. A prompt that does not fit the model is
        refused by the server (vLLM answers 400), so that no sample is `truncated`. `tick` is called
        twice a second; what it raises ends the stream. Raises Unanswered.
        """
        settings = {
            "model": self.model,
            "temperature": temperature,
            "top_p": top_p,
            "max_tokens": max_tokens,
        }
        extra = {"top_k": top_k, "min_p": min_p, "repetition_penalty": repetition_penalty}
        settings |= {name: value for name, value in extra.items() if value != NEUTRAL[name]}
        settings |= {"stop": list(stop)} if stop else {}
        over = threading.Event()
        pool = ThreadPoolExecutor(self.requests)
        try:
            futures = {
                pool.submit(
                    self._ask,
                    settings,
                    conversations[numbers[0]],
                    [seeds[n] for n in numbers],
                    over,
                ): numbers
                for numbers in alike(conversations)
            }
            for future in ended(futures, tick):
                yield from zip(futures[future], future.result())
        finally:
            over.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _ask(
        self, settings: dict, messages: list[dict], seeds: list[int], over: threading.Event
    ) -> list[Sample]:
        """An answer for each seed. A server may give fewer than n, and none gives several likeliest
        ones: ask on.
        """
        answers: list[Sample] = []
        while len(answers) < len(seeds):
            n = len(seeds) - len(answers) if settings["temperature"] else 1
            body = settings | {
                "messages": on_the_wire(messages),
                "n": n,
                "seed": seeds[len(answers)],
                "logprobs": True,
            }
            answers += self._post(body, over)[:n]
        return answers

    def _post(self, body: dict, over: threading.Event) -> list[Sample]:
        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception(for_now),
            wait=as_told,
            stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_when_event_set(over),
            sleep=tenacity.sleep_using_event(over),
            reraise=True,
        )
        try:
            return again(self._once, body)
        except httpx.HTTPStatusError as error:
            raise Unanswered(
                f"{self.url.host} answered {error.response.status_code}: "
                f"{error_message(error.response)}"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
            raise Unanswered(
                f"{self.url.host} gave no answer: {str(error) or type(error).__name__}"
            ) from error

    def _once(self, body: dict) -> list[Sample]:
        response = self.client.post(self.url, json=body)
        response.raise_for_status()  # a redirect too
        return samples(response.json())


def on_the_wire(messages: list[dict]) -> list[dict]:
    """A conversation as the protocol has it: contents are texts, which every server takes, and each
    tool call and its result have an id. Where they have none, results belong to calls in order.
    """
    result, open_calls = [], []
    for place, turn in enumerate(messages):
        sent = turn | {"content": content_text(turn)}
        if turn.get("tool_calls"):
            sent["tool_calls"] = [
                {"id": f"call_{place}_{number}"} | call
                for number, call in enumerate(turn["tool_calls"])
            ]
            open_calls += [call["id"] for call in sent["tool_calls"]]
        if turn["role"] == "tool":
            sent["tool_call_id"] = turn.get("tool_call_id") or next(iter(open_calls), "call")
            open_calls = [call for call in open_calls if call != sent["tool_call_id"]]
        result.append(sent)
    return result


class PublicOnly(httpx.HTTPTransport):
    """Looks a host up itself and goes where it looked, so that the name can't mean another address
    a moment later.
    """

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        request.extensions = {
            **request.extensions,
            "sni_hostname": host,
        }  # whose certificate is asked for
        request.url = request.url.copy_with(host=public_address(host, request.url.port or 443))
        return super().handle_request(request)


def public_address(host: str, port: int) -> str:
    """The first address of a host. Raises UnsupportedProtocol where any of them is private."""
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpx.ConnectError(f"{host} is not known: {error}") from error
    addresses = [info[4][0].split("%")[0] for info in infos]
    if private := [address for address in addresses if not is_public(address)]:
        raise httpx.UnsupportedProtocol(
            f"{host} has the private address {private[0]}, which is not allowed"
        )
    return f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]


def is_public(text: str) -> bool:
    """Whether the IP address is global unicast; the same rule as people/public_urls.py has."""
    address = ipaddress.ip_address(text)
    if address in NAT64:
        address = ipaddress.IPv4Address(int(address) % 2**32)
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_global and not any(address in network for network in SPECIAL)


def alike(conversations: list[list[dict]]) -> list[list[int]]:
    """The numbers of equal conversations, together."""
    groups = defaultdict(list)
    for number, messages in enumerate(conversations):
        groups[json.dumps(messages)].append(number)
    return list(groups.values())


def ended(futures: Collection[Future], tick: Callable[[], None]) -> Iterator[Future]:
    left = set(futures)
    while left:
        tick()
        done, left = wait(left, timeout=0.5, return_when=FIRST_COMPLETED)
        yield from done


def for_now(error: BaseException) -> bool:
    """Whether the same request may be answered later."""
    if isinstance(error, httpx.HTTPStatusError):
        return (
            error.response.status_code in FOR_NOW
            and (retry_after(error.response) or 0) <= LONGEST_WAIT
        )
    return isinstance(error, httpx.TransportError) and not isinstance(
        error, httpx.UnsupportedProtocol
    )


def as_told(state: tenacity.RetryCallState) -> float:
    """Seconds until the next attempt: what Retry-After says, or twice as many each time."""
    response = getattr(state.outcome.exception(), "response", None)
    seconds = retry_after(response) if response is not None else None
    return BACKOFF(state) if seconds is None else seconds


def retry_after(response: httpx.Response) -> float | None:
    """Retry-After in seconds; it may be a number or a date."""
    value = response.headers.get("Retry-After", "")
    try:
        return (
            float(value)
            if value.isdecimal()
            else max(0.0, parsedate_to_datetime(value).timestamp() - time())
        )
    except ValueError:
        return None


def samples(answer: dict) -> list[Sample]:
    """Raises ValueError for an answer that is not as the protocol has it."""
    try:
        choices = answer["choices"]
        used = answer.get("usage", {}).get("completion_tokens") if len(choices) == 1 else None
        parsed = [sample(choice, used) for choice in choices]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"it does not speak the protocol ({error!r} in {str(answer)[:200]})"
        ) from error
    if not parsed:
        raise ValueError("it gave no choices")
    return parsed


def sample(choice: dict, used: int | None) -> Sample:
    listed = (choice.get("logprobs") or {}).get("content")
    logprobs = tuple(token["logprob"] for token in listed or ())
    message = choice["message"]
    turn = {"content": message["content"], "tool_calls": message.get("tool_calls")}
    return Sample(
        # Podium offers no tools; what a server calls on its own is kept as text
        text=turn_text(turn).strip(),
        tokens=len(logprobs) if listed else used,
        finish_reason=(choice.get("finish_reason") or "")[:20],
        logprob=sum(logprobs) if listed else None,
        logprobs=logprobs,
    )


def error_message(response: httpx.Response) -> str:
    """The message of an error response, in one line."""
    if response.is_redirect:
        return (
            f"it redirects to {response.headers['Location'][:200]}: register that address if you "
            "trust it"
        )
    try:
        return str(response.json()["error"]["message"])[:300]
    except (ValueError, KeyError, TypeError, RecursionError):
        return response.text[:300].strip() or response.reason_phrase
