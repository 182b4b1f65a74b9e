"""Addresses that somebody types and a server of ours then calls: none may lead into the network
around it.

The engines of `workers` follow the same rule by their own words: they know no Django.
"""

from __future__ import annotations

import ipaddress
import socket

import httpx
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

PORTS = {"https": 443, "http": 80}


class NotPublic(Exception):
    """The host has a private address; the text says which."""


def proper_address(text: str) -> None:
    """Raises ValidationError unless this is an address that a webhook may have, whatever its host
    means.
    """
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise ValidationError(_("This is not an address: https://example.org/hooks")) from error
    if not url.host or url.scheme not in PORTS or url.userinfo or (url.port or 0) >= 2**16:
        raise ValidationError(_("This is not an address of the web: https://example.org/hooks"))
    if url.scheme != "https" and not settings.WEBHOOK_PRIVATE:
        raise ValidationError(_("Only https is called here."))


def reached(url: httpx.URL) -> str:
    """The numeric address that the URL's host has now. Raises NotPublic, or OSError where there is
    no such host.
    """
    host = url.raw_host.decode("ascii")
    try:
        known = socket.getaddrinfo(host, url.port or PORTS[url.scheme], type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a name longer than names are
        raise OSError(f"{host} is no name of a host") from error
    found = [info[4][0].split("%")[0] for info in known]
    private = [address for address in found if not ipaddress.ip_address(address).is_global]
    if private and not settings.WEBHOOK_PRIVATE:
        raise NotPublic(
            f"{host} has the private address {private[0]}, which is not called from here."
        )
    return f"[{found[0]}]" if ":" in found[0] else found[0]
