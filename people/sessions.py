"""Django's session and user lookup, with queries that are compiled once."""

from django.contrib.auth.backends import ModelBackend
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.utils.timezone import now

from people.db.compiled import compiled
from people.models import User


class SessionStore(db.SessionStore):
    """Django's database sessions."""

    def _get_session_from_db(self) -> Session | None:
        sessions = _session(self.session_key, now())
        if not sessions:
            self._session_key = None
            return None
        return sessions[0]


@compiled
def _session(key, at):
    return Session.objects.filter(session_key=key, expire_date__gt=at)


class Accounts(ModelBackend):
    """Django's authentication backend."""

    def get_user(self, user_id: int) -> User | None:
        for user in _account(user_id):
            if self.user_can_authenticate(user):
                return user
        return None


@compiled
def _account(pk):
    return User.objects.filter(pk=pk)
