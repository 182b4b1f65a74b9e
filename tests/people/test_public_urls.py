"""Webhooks and engines reach public addresses only, whatever form an address has and however often
its name changes. Both have the same rule (people/public_urls.py, workers/engines/openai.py).
"""

import asyncio
import socket
import socketserver
from itertools import chain, repeat
from threading import Thread

import httpx
import pytest

from people import public_urls
from people.webhooks import delivery
from tests.people.webhooks.receiver import Receiver, says
from workers.engines import openai
from workers.engines.openai import OpenAIEngine, Unanswered

PUBLIC = """
    1.1.1.1 8.8.8.8 93.184.216.34 100.63.255.255 100.128.0.0 126.255.255.255 172.15.255.255
    172.32.0.0 192.0.1.1 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255
    2001:200::1 2001:4860:4860::8888 2003::1 2606:4700:4700::1111 2a00:1450:4001:80b::200e
    3ffe::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8
"""
OTHER = """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.255
    169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.9 192.0.0.100 192.0.2.1
    192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1
    224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:10.0.0.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254
    ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254
    64:ff9b:1::8.8.8.8 64:ff9b:1:a::1 100::1 2001::1 2001:0:7f00:1::1 2001:10::1 2001:db8::1
    2002:7f00:1::1 2002:808:808::1 3fff::1 4000::1 5f00::1 8000::1 fc00::1 fd12:3456::1
    fe80::1 fe80::1%lo fec0::1 feff::1 ff02::1 ff05::2 ff0e::1
"""
each_rule = pytest.mark.parametrize("rule", ["webhooks", "engines"])


def resolves(rule: str, host: str) -> bool:
    """Whether the rule lets a host through."""
    try:
        if rule == "webhooks":
            public_urls.reached(httpx.URL(f"https://{host}/hooks"))
        else:
            openai.public_address(host, 443)
    except (public_urls.NotPublic, httpx.UnsupportedProtocol):
        return False
    return True


@each_rule
@pytest.mark.parametrize(
    ("address", "public"),
    [*((text, True) for text in PUBLIC.split()), *((text, False) for text in OTHER.split())],
)
def test_only_global_unicast_is_public(monkeypatch, rule, address, public):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (address, 443))])

    assert resolves(rule, "some.example") is public


@each_rule
def test_one_address_inside_is_enough_to_refuse_a_name(monkeypatch, rule):
    answer = [(0, 0, 0, "", (address, 443)) for address in ("8.8.8.8", "64:ff9b::10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)

    assert not resolves(rule, "some.example")


# A name whose address changes


class ChangingNames(socketserver.UDPServer):
    """A DNS server: the first question gets the first address, all later ones the second."""

    def __init__(self, first: str, second: str):
        super().__init__(("127.0.0.1", 0), None)
        self.addresses, self.asked = chain([first], repeat(second)), 0
        self.connected: list[str] = []

    def finish_request(self, request, client):
        question, sock = request
        self.asked += 1
        name_and_kind = question[12:]
        header = question[:2] + b"\x81\x80" + b"\0\1\0\1\0\0\0\0"
        address = socket.inet_aton(next(self.addresses))
        record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + address  # type A, to be kept for no second
        sock.sendto(header + name_and_kind + record, client)


@pytest.fixture
def names(monkeypatch):
    """A server of names that first answers with a public address, then with this machine's. The
    system's resolver asks it.
    """
    system = socket.getaddrinfo
    with ChangingNames("93.184.216.34", "127.0.0.1") as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()

        def look_up(host, port, *arguments, **named):
            if not str(host).endswith(".example"):
                return system(host, port, *arguments, **named)
            with socket.socket(type=socket.SOCK_DGRAM) as sock:
                labels = b"".join(bytes([len(part)]) + part.encode() for part in host.split("."))
                question = b"\0\7\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"
                sock.sendto(question, server.server_address)
                address = socket.inet_ntoa(sock.recv(512)[-4:])
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        def connect(sock, address):
            server.connected.append(address[0])
            raise ConnectionRefusedError

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        monkeypatch.setattr(socket.socket, "connect", connect)
        yield server
        server.shutdown()


def test_a_webhook_goes_to_the_address_that_was_checked(names, settings):
    settings.WEBHOOK_PRIVATE = False
    hook = delivery.SignedRequest("https://changing.example/hooks", b"{}", {})

    asyncio.run(delivery.send([hook]))
    [second] = asyncio.run(delivery.send([hook]))

    assert (names.asked, names.connected) == (2, ["93.184.216.34"])
    assert "private address 127.0.0.1" in second.error


def test_an_engine_goes_to_the_address_that_was_checked(names):
    with httpx.Client(transport=openai.PublicOnly()) as client:
        with pytest.raises(httpx.ConnectError):
            client.get("https://changing.example/v1")
        with pytest.raises(httpx.UnsupportedProtocol, match=r"private address 127\.0\.0\.1"):
            client.get("https://changing.example/v1")

    assert (names.asked, names.connected) == (2, ["93.184.216.34"])


# Redirects


def test_a_webhook_follows_no_redirect_inside(settings):
    settings.WEBHOOK_PRIVATE = True
    with Receiver() as inside, Receiver() as outside:
        outside.plan = [says(307, Location=inside.url)]
        [outcome] = asyncio.run(
            delivery.send([delivery.SignedRequest(outside.url, b"{}", {"Content-Length": "2"})])
        )

    assert (outcome.status, inside.got) == (307, [])


def test_an_engine_follows_no_redirect_inside():
    with Receiver() as inside, Receiver() as outside:
        outside.plan = [says(307, Location=inside.url)]
        host = f"127.0.0.1:{outside.server_port}"
        engine = OpenAIEngine(f"http://{host}/v1", "m", allowed=[host])
        with pytest.raises(Unanswered, match="answered 307"):
            engine.sample([[{"role": "user", "content": "Why?"}]], [1])
        engine.close()

    assert inside.got == []
