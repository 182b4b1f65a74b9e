"""URLs that users enter and this server requests: they must not reach the internal network (SSRF).

The engines of `workers` implement the same rule themselves, because they import no Django.
"""

from __future__ import annotations

import ipaddress
import socket

import httpx
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

PORTS = {"https": 443, "http": 80}
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# What is not global unicast, though some versions of `ipaddress` say so: multicast, IPv6 outside of
# 2000::/3, and ranges of protocols, which may lead to an IPv4 address in them (Teredo, 6to4).
SPECIAL = [
    ipaddress.ip_network(network)
    for network in (
        *("192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4"),
        *("::/3", "4000::/2", "8000::/1", "2001::/23", "2002::/16", "3fff::/20"),
    )
]


class NotPublic(Exception):
    """The host has a private IP address; the text says which."""


def proper_address(text: str) -> None:
    """Raises ValidationError unless `text` is a valid webhook URL. The host is not resolved."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise ValidationError(
            _("This is not a valid URL. Example: https://example.org/hooks")
        ) from error
    if not url.host or url.scheme not in PORTS or url.userinfo or (url.port or 0) >= 2**16:
        raise ValidationError(
            _("This is not a valid web address. Example: https://example.org/hooks")
        )
    if url.scheme != "https" and not settings.WEBHOOK_PRIVATE:
        raise ValidationError(_("Use an https address."))


def reached(url: httpx.URL) -> str:
    """The IP address that the URL's host resolves to.

    Raises NotPublic where any of its addresses is private, and OSError where it has none.
    """
    host = url.raw_host.decode("ascii")
    try:
        infos = socket.getaddrinfo(host, url.port or PORTS[url.scheme], type=socket.SOCK_STREAM)
    except UnicodeError as error:  # the name is too long
        raise OSError(f"{host} is not a valid host name") from error
    addresses = [info[4][0].split("%")[0] for info in infos]  # without the interface
    private = [address for address in addresses if not is_public(address)]
    if private and not settings.WEBHOOK_PRIVATE:
        raise NotPublic(f"{host} has the private address {private[0]}. Use a public host.")
    first = addresses[0]
    return f"[{first}]" if ":" in first else first


def is_public(text: str) -> bool:
    """Whether the IP address is global unicast; of one that stands for an IPv4 address (mapped, or
    behind a NAT64), whether that is.
    """
    address = ipaddress.ip_address(text)
    if address in NAT64:
        address = ipaddress.IPv4Address(int(address) % 2**32)
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_global and not any(address in network for network in SPECIAL)
