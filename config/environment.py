"""Read environment variables. A value that can't be meant raises ImproperlyConfigured, and the
message begins with the variable's name.

django-environ reads the URLs. Its other readers guess: `PODIUM_PRODUCTION=yess` is no, `1e3`
seconds are 13, and a key that begins with `$` is the name of another variable.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Callable
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import environ
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured
from redis.connection import parse_url

BOOLEANS = {"1": True, "true": True, "yes": True, "on": True}
BOOLEANS |= {"": False, "0": False, "false": False, "no": False, "off": False}
POSTGRESQL = ("postgres", "postgresql", "psql", "pgsql")
YEAR = 365 * 24 * 60 * 60  # seconds

# Patterns of values
NAME = r"(?i:[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?)"
LISTENING = rf"{NAME}|(?i:[0-9a-f:.]+)"
HOST = rf"({NAME}|\[(?i:[0-9a-f:.]+)\])(:[0-9]{{1,5}})?"
ALLOWED_HOST = rf"\*|\.?{NAME}|\[(?i:[0-9a-f:.]+)\]"
PATH = r"(/(?!\.+(/|$))[A-Za-z0-9._~-]+)*"
ORIGIN = rf"https?://(\*\.)?{HOST}"
STORE = r"s3://[\w.-]+(/[^?#]*)?|(?!\w+:/)[^\0]*"
RATE = r"[1-9]\d*/(s|sec|second|m|min|minute|h|hour|d|day)"
DEVICES = r"auto|cpu|-1|([0-9]+|(GPU|MIG)-[\w/-]+)(,([0-9]+|(GPU|MIG)-[\w/-]+))*|"


class Variables:
    """The environment variables, each read as one type."""

    def str(self, name: str, default: str) -> str:
        return os.environ.get(name, default)

    def bool(self, name: str, default: bool) -> bool:
        if name not in os.environ:
            return default
        text = os.environ[name].strip()
        refuse(name, text.lower() not in BOOLEANS, f"{text} is neither 1 nor 0")
        return BOOLEANS[text.lower()]

    def int(self, name: str, default: int) -> int:
        text = os.environ.get(name, f"{default}").strip()
        refuse(name, not re.fullmatch(r"-?[0-9]{1,18}", text), f"{text!r} is not a whole number")
        return int(text)

    def float(self, name: str, default: float) -> float:
        text = os.environ.get(name, f"{default}").strip()
        try:
            return float(text)
        except ValueError:
            raise ImproperlyConfigured(f"{name}: {text!r} is not a number") from None

    def list(self, name: str, default: list[str]) -> list[str]:
        """Texts with commas between them."""
        if name not in os.environ:
            return default
        return [text.strip() for text in os.environ[name].split(",") if text.strip()]

    def path(self, name: str, default: Path) -> Path:
        text = os.environ.get(name, f"{default}")
        refuse(name, not text.strip(), "is empty")
        return Path(text)

    def folders(self, name: str, default: Path) -> list[Path]:
        """Folders with colons between them."""
        texts = os.environ.get(name, f"{default}").split(":")
        refuse(name, not all(text.strip() for text in texts), "the name of a folder is empty")
        return [Path(text).resolve() for text in texts]

    def dict(self, name: str) -> dict[str, str]:
        """Pairs KEY=VALUE with commas between them."""
        pairs = [pair.partition("=") for pair in self.list(name, [])]
        # without the pair, which may be a secret
        refuse(name, not all(equals for _key, equals, _value in pairs), "a pair has no = in it")
        return {key: value for key, _equals, value in pairs}


# Rules


def refuse(name: str, wrong: bool, why: str) -> None:
    if wrong:
        raise ImproperlyConfigured(f"{name}: {why}")


def within(name: str, value: float, highest: float) -> None:
    """Refuse a number that is not above 0, or above `highest`."""
    refuse(name, not 0 < value < math.inf, f"{value:g} is not above 0")
    refuse(name, value > highest, f"{value:g} is above {highest:g}")


def matching(name: str, texts: list[str], pattern: str, meant: str) -> None:
    """Refuse a text that does not match the pattern as a whole. `meant`: what it should be."""
    for text in texts:
        refuse(name, not re.fullmatch(pattern, text), f"{text!r} is not {meant}")


def printable(name: str, secrets: list[str]) -> None:
    """Refuse what an HTTP header can't hold, without showing it."""
    wrong = any(not secret.isascii() or re.search(r"[^!-~]", secret) for secret in secrets)
    refuse(name, wrong, "has a space, a line break or a letter outside of ASCII")


def cron(name: str, text: str) -> None:
    """Refuse what Celery does not read as the five fields of a line of cron."""
    try:
        crontab.from_string(text)
    except ValueError:
        refuse(name, True, f"{text!r} is not five fields like 0 3 * * *")


def folder(name: str, path: Path) -> None:
    refuse(name, path.exists() and not path.is_dir(), f"{path} is not a folder")


def file(name: str, path: Path) -> None:
    refuse(name, path.is_dir(), f"{path} is a folder, not a file")


def networks(name: str, texts: list[str]) -> None:
    for text in texts:
        refuse(name, not _is_network(text), f"{text} is neither an address nor a network")


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def web_address(name: str, text: str) -> None:
    url = _parsed(name, _split, text)
    wrong = f"{text} is not a web address like https://example.org"
    refuse(name, url.scheme not in ("http", "https"), wrong)
    refuse(name, not url.hostname, wrong)
    refuse(name, bool(url.query or url.username), wrong)


def sender(name: str, text: str) -> None:
    address = parseaddr(text)[1]
    wrong = not re.fullmatch(r"[^@\s]+@[^@\s]+", address) or "\n" in text or "\r" in text
    refuse(name, wrong, f"{text!r} is not like Podium <podium@example.org>")


# URLs with passwords in them, which no message shows


def database(name: str, url: str, engine: str) -> dict[str, Any]:
    """The entry of DATABASES for a PostgreSQL URL."""
    like = "it must be like postgres://user:password@host/name"
    refuse(name, _parsed(name, _split, url).scheme not in POSTGRESQL, like)
    config = _parsed(name, lambda text: environ.Env.db_url_config(text, engine=engine), url)
    refuse(name, not config.get("NAME"), like)
    return config


def broker(name: str, url: str) -> None:
    _parsed(name, parse_url, url)
    refuse(name, url.startswith("unix://") and not urlsplit(url).path, "the socket has no path")


def email(name: str, url: str) -> dict[str, Any]:
    """Django's settings of e-mail."""
    scheme = _parsed(name, _split, url).scheme
    known = ", ".join(environ.Env.EMAIL_SCHEMES)
    refuse(name, scheme not in environ.Env.EMAIL_SCHEMES, f"{scheme}:// is none of {known}")
    config = _parsed(name, environ.Env.email_url_config, url)
    refuse(name, scheme.startswith("smtp") and not config["EMAIL_HOST"], "it names no server")
    return config


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    _ = parts.port  # a wrong one raises ValueError only when it is read
    return parts


def _parsed(name: str, parse: Callable[[str], Any], url: str) -> Any:
    try:
        return parse(url)
    except (ValueError, TypeError):
        raise ImproperlyConfigured(f"{name}: this is not a valid URL") from None
