"""What a proxy in front of Podium, or a setting about it, gets wrong, in words: the setting's name,
and the host or origin that was seen.
"""

from __future__ import annotations

import logging
import re
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from django.utils.text import Truncator
from django.utils.translation import gettext as _

log = logging.getLogger(__name__)
# Key in the WSGI environment of a request whose path is not below PODIUM_PATH.
OUTSIDE = "podium.outside"
UNTRUSTED = re.compile(r"(?:Origin|Referer) checking failed - (.*) does not match any trusted .*")
LOGGED_SECONDS = 60
LONGEST = 200  # characters of what a client sent, in a page


def unknown_host(request: HttpRequest) -> str:
    return _(
        "This site does not answer to the host “%(host)s”. If it should, name the host in "
        "PODIUM_ALLOWED_HOSTS; behind a proxy, let the proxy pass the Host header."
    ) % {"host": _shown(request.META.get("HTTP_HOST", ""))}


def untrusted_origin(reason: str) -> str:
    """Words about Django's reason for refusing a form, if it is the origin; else none."""
    match = UNTRUSTED.search(reason)
    if match is None:
        return ""
    origin = match[1]
    if reason.startswith("Referer"):
        page = urlsplit(origin)
        origin = f"{page.scheme}://{page.netloc}"
    return _(
        "A form that comes from “%(origin)s” is not trusted. If this is the address of this site, "
        "name it in PODIUM_TRUSTED_ORIGINS; behind a proxy, let the proxy pass the Host header "
        "and set X-Forwarded-Proto."
    ) % {"origin": _shown(origin)}


def came_by_tls_unsaid(request: HttpRequest) -> bool:
    """Whether a proxy passed this request on without saying whether it came by TLS.

    Redirected to https, it would arrive in the same way, for ever.
    """
    if "HTTP_X_FORWARDED_PROTO" in request.META:
        return False
    by_proxy = "HTTP_X_FORWARDED_FOR" in request.META
    return by_proxy or request.META.get("HTTP_ORIGIN", "").startswith("https://")


def scheme_unsaid(request: HttpRequest) -> str:
    seen = request.META.get("HTTP_ORIGIN") or request.META.get("HTTP_HOST", "")
    return _(
        "The proxy in front of Podium does not say whether the request to “%(seen)s” came by TLS: "
        "let it set the header X-Forwarded-Proto, which PODIUM_PRODUCTION needs."
    ) % {"seen": _shown(seen)}


def outside(request: HttpRequest) -> str:
    return _(
        "This site is at “%(path)s”, and the request was for “%(seen)s”. If the address in your "
        "browser begins with %(path)s, let the proxy pass the path as it is."
    ) % {"path": f"{settings.PATH}/", "seen": _shown(request.path_info)}


def _shown(text: str) -> str:
    return Truncator(text).chars(LONGEST)


class OnceAMinute(logging.Filter):
    """Of each kind of these faults one line a minute: every request of everybody has it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Logging that was configured twice has this filter twice."""
        if not hasattr(record, "_is_the_one"):
            record._is_the_one = self._is_the_one(record)
        return record._is_the_one

    def _is_the_one(self, record: logging.LogRecord) -> bool:
        if record.name == "django.security.csrf" and not UNTRUSTED.search(record.getMessage()):
            return True
        return bool(cache.add(f"logged-{record.name}", True, LOGGED_SECONDS))
