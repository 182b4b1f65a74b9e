"""Tokens that scripts show in place of a password: personal, named, scoped, expiring, shown once,
kept as a hash.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _

from people import audit
from people.access import Refused
from people.models import Token, User

START = "podium_"  # by which a leaked one is recognised
SHOWN = 8  # characters after it that tell tokens apart in a list
MOST = 50  # that one person may hold at a time
FRESH = timedelta(minutes=1)  # a use is noted no more often


@transaction.atomic
def make(user: User, name: str, scopes: list[str], days: int) -> tuple[Token, str]:
    """A new token and its text, which is never known again. Raises Refused for one too many."""
    if open_of(user).count() >= MOST:
        raise Refused(_("You have %(n)s tokens: revoke one first.") % {"n": MOST})
    text = START + secrets.token_urlsafe(32)
    token = Token.objects.create(
        user=user,
        name=name,
        scopes=[scope for scope in Token.Scope.values if scope in scopes],
        digest=digest(text),
        start=text[: len(START) + SHOWN],
        expires_at=now() + timedelta(days=days),
    )
    audit.record(user, "make token", token, name=name, scopes=token.scopes)
    return token, text


@transaction.atomic
def revoke(actor: User, token: Token) -> None:
    """It lets nobody in from now on; twice is harmless."""
    if Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now()):
        audit.record(actor, "revoke token", token, name=token.name)


def open_of(user: User):
    """The tokens that let this person's scripts in."""
    return Token.objects.filter(user=user, revoked_at=None, expires_at__gt=now())


def find(text: str) -> Token | None:
    """The token of this text, with its user, if it lets somebody in; its use is noted."""
    at = now()
    token = (
        Token.objects.select_related("user")
        .filter(digest=digest(text), revoked_at=None, expires_at__gt=at)
        .first()
    )
    if token is None or not token.user.is_active:
        return None
    if token.last_used_at is None or token.last_used_at < at - FRESH:
        Token.objects.filter(pk=token.pk).update(last_used_at=at)
    return token


def digest(text: str) -> str:
    """A token is as random as a key, so a plain hash is enough."""
    return hashlib.sha256(text.encode()).hexdigest()
