"""Answers from a server: asked n at a time, again when it fails for now, and never at an address
that is not allowed.
"""

import json
import time
from email.utils import formatdate

import httpx
import pytest
import tenacity

from tests.factories import TOOL_TURNS
from tests.workers.model_server import serving
from workers.engines import openai
from workers.engines.answers import Sample
from workers.engines.openai import OpenAIEngine, Unanswered

WHY, HOW = ([{"role": "user", "content": text}] for text in ("Why?", "How?"))


class Parrot:
    """Says its seed."""

    def __init__(self, slow=0):
        self.slow = slow

    def sample(self, conversations, seeds, **settings):
        time.sleep(self.slow)
        return [Sample(f" {seed} ", 2, "stop", -1.0, logprobs=(-0.25, -0.75)) for seed in seeds]


@pytest.fixture
def server():
    with serving(Parrot()) as running:
        yield running


@pytest.fixture(autouse=True)
def no_patience(monkeypatch):
    monkeypatch.setattr(openai, "BACKOFF", tenacity.wait_none())


@pytest.fixture
def ask(server):
    """Ask the server for answers to these conversations."""
    engines = []

    def run(conversations, seeds, key="", **settings):
        engines.append(
            OpenAIEngine(server.address, "tiny@3", key=key, allowed=[server.host], requests=3)
        )
        return engines[-1].sample(conversations, seeds, **settings)

    yield run
    for engine in engines:
        engine.close()


def texts(found):
    return [one.text for one in found]


def test_all_answers_to_a_conversation_are_one_request(server, ask):
    found = ask([WHY, HOW, WHY, WHY], [10, 20, 30, 40])

    assert texts(found) == ["10", "20", "11", "12"]
    assert sorted(
        (body["messages"][0]["content"], body["n"], body["seed"]) for body in server.asked
    ) == [
        ("How?", 1, 20),
        ("Why?", 3, 10),
    ]
    assert found[0] == Sample("10", 2, "stop", -1.0, logprobs=(-0.25, -0.75))


def test_the_server_is_told_the_adapter_and_every_setting(server, ask):
    told = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 7,
        "min_p": 0.1,
        "repetition_penalty": 1.2,
        "max_tokens": 9,
    }
    ask([WHY], [1], **told, stop=["x"], batch=3)

    assert server.asked == [
        told
        | {"model": "tiny@3", "stop": ["x"], "messages": WHY, "n": 1, "seed": 1, "logprobs": True}
    ]


def test_what_only_some_servers_know_is_not_said_when_it_does_nothing(server, ask):
    ask([WHY], [1], top_k=0)

    assert not {"top_k", "min_p", "repetition_penalty", "stop"} & set(server.asked[0])


def test_a_server_that_gives_one_answer_a_request_is_asked_on(server, ask):
    server.most_choices = 1
    assert texts(ask([WHY] * 3, [10, 20, 30])) == ["10", "20", "30"]


def test_the_likeliest_answer_is_asked_for_alone(server, ask):
    ask([WHY] * 2, [1, 2], temperature=0)
    assert [body["n"] for body in server.asked] == [1, 1]


def test_a_server_may_keep_its_logprobs(server, ask):
    server.logprobs = False
    one, two, three = ask([WHY, HOW, HOW], [1, 2, 3])

    assert (one.logprob, one.tokens) == (None, 7)
    assert (two.logprob, two.tokens, three.tokens) == (None, None, None)


def test_the_key_is_sent(server, ask):
    ask([WHY], [1], key="s3cret")
    ask([WHY], [1])
    assert server.keys == ["Bearer s3cret", None]


@pytest.mark.parametrize("fault", [429, 500, 503, "drop"])
def test_what_fails_for_now_is_asked_again(server, ask, fault):
    server.faults = [fault, fault]

    assert texts(ask([WHY], [5])) == ["5"]
    assert len(server.asked) == 3


def test_the_server_says_when_to_come_back(server, ask):
    server.faults = [(429, {"Retry-After": "1"})]
    started = time.monotonic()

    assert texts(ask([WHY], [5])) == ["5"]
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [("7", 7, 7), ("an hour from now", 3000, 3601), ("soon", None, None), ("", None, None)],
)
def test_retry_after_is_a_number_or_a_date(value, low, high):
    # the date is written here and not above: the names of tests must be the same in every process
    header = formatdate(time.time() + 3600, usegmt=True) if value == "an hour from now" else value
    told = openai.retry_after(httpx.Response(429, headers={"Retry-After": header}))

    assert told is None if low is None else low <= told <= high


@pytest.mark.parametrize(
    ("fault", "sentence", "times"),
    [
        (401, "127.0.0.1 answered 401: not now", 1),
        (500, "answered 500: not now", openai.ATTEMPTS),
        ("drop", "gave no answer", openai.ATTEMPTS),
        ((429, {"Retry-After": "86400"}), "answered 429", 1),
        ((307, {"Location": "http://elsewhere/v1"}), "redirects to http://elsewhere/v1", 1),
        ("{}", "does not speak the protocol", 1),
        ("<html>", "gave no answer", 1),
        ('{"choices": []}', "no choices", 1),
        ("[" * 100_000, "gave no answer", 1),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_stays_wrong_ends_the_stream_with_a_sentence(server, ask, fault, sentence, times):
    server.faults = [fault] * 20

    with pytest.raises(Unanswered, match=sentence):
        ask([WHY], [5])
    assert len(server.asked) == times


def test_an_error_that_nests_without_end_is_shown_as_text():
    response = httpx.Response(400, text="[" * 100_000)

    assert openai.error_message(response) == "[" * 300


def test_only_so_many_requests_run_at_once():
    with serving(Parrot(slow=0.05)) as server:
        engine = OpenAIEngine(server.address, "m", allowed=[server.host], requests=2)
        engine.sample([[{"role": "user", "content": str(n)}] for n in range(8)], list(range(8)))
        engine.close()

    assert server.most_running == 2
    assert len(server.asked) == 8


def test_what_a_tick_raises_ends_the_stream_and_its_retries(server, ask):
    server.faults = [(429, {"Retry-After": "60"})] * 9
    calls = iter(range(3))

    def stop():
        if next(calls) == 1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        ask([WHY], [5], tick=stop)
    assert len(server.asked) == 1  # the minute was not waited for


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/v1", "http://example.org/v1", "ftp://127.0.0.1/v1", "nonsense"]
)
def test_only_https_is_asked_unless_the_host_is_allowed(address):
    with pytest.raises(ValueError, match="not https"):
        OpenAIEngine(address, "m", allowed=["127.0.0.1:2"])


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "10.0.0.1", "169.254.169.254", "localhost", "[::ffff:10.0.0.1]"]
)
def test_a_private_address_is_never_asked(host):
    engine = OpenAIEngine(f"https://{host}/v1", "m")
    with pytest.raises(Unanswered, match="gave no answer: [^ ]+ has the private address"):
        engine.sample([WHY], [1])
    engine.close()


def test_a_host_is_asked_where_it_was_looked_up(monkeypatch):
    monkeypatch.setattr(
        openai.socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("93.184.216.34", 443))]
    )
    seen = []
    monkeypatch.setattr(
        httpx.HTTPTransport,
        "handle_request",
        lambda self, request: seen.append(request) or httpx.Response(418),
    )
    engine = OpenAIEngine("https://models.example/v1", "m")
    with pytest.raises(Unanswered, match="models.example answered 418"):
        engine.sample([WHY], [1])

    [request] = seen
    assert (request.url.host, request.headers["Host"]) == ("93.184.216.34", "models.example")
    assert request.extensions["sni_hostname"] == "models.example"


@pytest.mark.torch
def test_a_real_models_answers_come_as_the_local_engine_gives_them(tmp_path):
    from tests.workers import tiny
    from workers.engines.local import LocalEngine

    local = LocalEngine(tiny.save(tmp_path / "tiny"))
    settings = {
        "temperature": 1.2,
        "max_tokens": 8,
        "min_p": 0.01,
        "repetition_penalty": 1.1,
        "stop": ["z"],
    }
    with serving(local) as server:
        engine = OpenAIEngine(server.address, "tiny", allowed=[server.host])
        found = engine.sample([WHY, HOW, WHY], [10, 20, 99], **settings)
        engine.close()

    expected = local.sample([WHY, HOW, WHY], [10, 20, 11], **settings)
    assert texts(found) == texts(expected)
    assert [one.logprob for one in found] == pytest.approx([one.logprob for one in expected])
    assert [one.tokens for one in found] == [one.tokens for one in expected]


def test_turns_of_tools_are_sent_as_the_protocol_has_them(server, ask):
    [call] = TOOL_TURNS[2]["tool_calls"]
    without_ids = [
        TOOL_TURNS[1],
        {"role": "assistant", "content": "", "tool_calls": [call | {"id": "x"}, dict(call)]},
        {"role": "tool", "content": "31"},
        {"role": "tool", "content": "12", "name": "weather"},
    ]
    del without_ids[1]["tool_calls"][1]["id"]
    ask([TOOL_TURNS, without_ids], [1, 2])
    sent = sorted((body["messages"] for body in server.asked), key=lambda turns: turns[0]["role"])

    asked = {"role": "user", "content": "How warm is\nRome?"}
    assert sent[0] == [TOOL_TURNS[0], asked, *TOOL_TURNS[2:]]
    assert sent[1] == [
        asked,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [call | {"id": "x"}, call | {"id": "call_1_1"}],
        },
        {"role": "tool", "content": "31", "tool_call_id": "x"},
        {"role": "tool", "content": "12", "name": "weather", "tool_call_id": "call_1_1"},
    ]


def test_a_call_of_a_tool_that_nobody_offered_is_kept_as_text(server, ask):
    choice = {"message": {"content": None, "tool_calls": TOOL_TURNS[2]["tool_calls"]}}
    server.faults = [json.dumps({"choices": [choice | {"finish_reason": "tool_calls"}]})]

    assert texts(ask([WHY], [1])) == ['weather({"city": "Roma", "at": ["now"]})']
