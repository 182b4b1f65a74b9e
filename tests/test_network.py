"""No test reaches another machine."""

import socket

import httpx
import pytest

from tests.conftest import NetworkBlocked

ELSEWHERE = ("192.0.2.1", 9)  # TEST-NET-1, which nobody has (RFC 5737)


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_no_socket_connects_to_another_machine(method):
    with socket.socket() as sock, pytest.raises(NetworkBlocked, match=r"192\.0\.2\.1"):
        getattr(sock, method)(ELSEWHERE)


def test_no_datagram_goes_to_another_machine():
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(NetworkBlocked):
        sock.sendto(b"", ELSEWHERE)


def test_no_request_goes_to_another_machine():
    with pytest.raises(NetworkBlocked):
        httpx.get("http://192.0.2.1/", trust_env=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_socket_connects_to_this_machine(host):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sock:
        sock.connect((host, server.getsockname()[1]))

        assert sock.getpeername() == server.getsockname()
