"""Django's session and user lookup, with queries that are compiled once; and where each user is
logged in.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils.timezone import now

from people import audit
from people.db.compiled import compiled
from people.login_lockout import address
from people.models import LoginSession, User

SEEN_EVERY = timedelta(minutes=10)  # seen_at is updated no more often


class SessionStore(db.SessionStore):
    """Django's database sessions. `login` is the LoginSession that was read with the session."""

    login: LoginSession | None = None

    def _get_session_from_db(self) -> Session | None:
        sessions = _session(self.session_key, now())
        if not sessions:
            self._session_key = None
            return None
        self.login = getattr(sessions[0], "login", None)
        return sessions[0]


@compiled
def _session(key: str, at: datetime):
    return Session.objects.select_related("login").filter(session_key=key, expire_date__gt=at)


class Accounts(ModelBackend):
    """Django's authentication backend."""

    def get_user(self, user_id: int) -> User | None:
        for user in _account(user_id):
            if self.user_can_authenticate(user):
                return user
        return None


@compiled
def _account(pk: int):
    return User.objects.filter(pk=pk)


def note(request: HttpRequest, user: User) -> None:
    """Remember where this session of the user was seen, and when, in steps of SEEN_EVERY."""
    login, key = request.session.login, request.session.session_key
    if key is None or (login is not None and login.seen_at > now() - SEEN_EVERY):
        return
    seen = {
        "user": user,
        "address": address(request),
        "agent": request.META.get("HTTP_USER_AGENT", "")[: LoginSession.LONGEST],
        "seen_at": now(),
    }
    with suppress(IntegrityError):  # the session was ended meanwhile
        LoginSession.objects.update_or_create(seen, session_id=key)


@receiver(user_logged_in)
def logged_in(sender: Any, request: HttpRequest, user: User, **_) -> None:
    note(request, user)
    audit.record(user, "log in", user, address=address(request))


def of(user: User) -> QuerySet[LoginSession]:
    """Where the user is logged in, the latest first."""
    return LoginSession.objects.filter(user=user, session__expire_date__gt=now()).order_by(
        "-seen_at", "-pk"
    )


@transaction.atomic
def end(user: User, sessions: QuerySet[LoginSession]) -> int:
    """Log the user out there; returns the number of these sessions."""
    keys = list(sessions.filter(user=user).values_list("session", flat=True))
    Session.objects.filter(pk__in=keys).delete()
    if keys:
        audit.record(user, "end sessions", user, count=len(keys))
    return len(keys)
