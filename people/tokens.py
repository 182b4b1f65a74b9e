"""API tokens: personal, named, scoped and expiring. Shown once; only the hash is stored."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils.timezone import now
from django.utils.translation import gettext as _

from people import audit
from people.access import Refused
from people.models import Token, User

START = "podium_"  # so that secret scanners recognise a leaked token
SHOWN = 8  # further characters that are stored, to tell tokens apart in a list
MOST = 50  # valid tokens per user
FRESH = timedelta(minutes=1)  # last_used_at is updated no more often


@transaction.atomic
def make(user: User, name: str, scopes: list[str], days: int) -> tuple[Token, str]:
    """Create a token. Returns it with its text, which isn't stored. Raises Refused for too many."""
    if open_of(user).count() >= MOST:
        raise Refused(_("You already have %(n)s tokens. Revoke one first.") % {"n": MOST})
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
    """Make the token invalid. Revoking twice is harmless."""
    if Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now()):
        audit.record(actor, "revoke token", token, name=token.name)


@transaction.atomic
def revoke_all(actor: User | None, user: User) -> int:
    """Make all tokens of the user invalid; returns their number."""
    count = open_of(user).update(revoked_at=now())
    if count:
        audit.record(actor, "revoke all tokens", user, count=count)
    return count


def open_of(user: User) -> QuerySet[Token]:
    """The user's valid tokens."""
    return Token.objects.filter(user=user, revoked_at=None, expires_at__gt=now())


def find(text: str) -> Token | None:
    """The valid token with this text, and its user; None otherwise. Updates last_used_at."""
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
    """The stored hash. A token has 256 random bits, so it needs neither salt nor a slow hash."""
    return hashlib.sha256(text.encode()).hexdigest()
