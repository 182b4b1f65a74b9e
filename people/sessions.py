"""Whose request it is: Django's sessions and accounts, read by queries that are composed once."""

from django.contrib.auth.backends import ModelBackend
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.utils.timezone import now

from people.db.compiled import composed
from people.models import User


class SessionStore(db.SessionStore):
    def _get_session_from_db(self) -> Session | None:
        found = _session(self.session_key, now())
        if not found:
            self._session_key = None
        return found[0] if found else None


@composed
def _session(key, at):
    return Session.objects.filter(session_key=key, expire_date__gt=at)


class Accounts(ModelBackend):
    def get_user(self, user_id: int) -> User | None:
        found = _account(user_id)
        return found[0] if found and self.user_can_authenticate(found[0]) else None


@composed
def _account(pk):
    return User.objects.filter(pk=pk)
