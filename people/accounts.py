"""Accounts: create, change, pause and activate them; reset passwords."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.db import transaction
from django.dispatch import receiver
from django.utils.timezone import now
from django.utils.translation import gettext as _

from people import audit, tokens
from people.access import Refused
from people.models import AuditEvent, User
from people.signals import paused, willing

RESETS_PER_HOUR = 3


def random_password() -> str:
    return secrets.token_urlsafe(12)


@transaction.atomic
def create(
    actor: User | None, email: str, password: str | None = None, **fields
) -> tuple[User, str]:
    """Create an account. Returns it with its first password, of which only the hash is stored.

    Raises Refused where an account with this e-mail exists.
    """
    if User.objects.filter(email=email.strip().lower()).exists():
        raise Refused(_("An account with this e-mail already exists."), "email")
    password = password or random_password()
    user = User.objects.create_user(email, password, state=User.State.INVITED, **fields)
    audit.record(actor, "create account", user, email=user.email)
    return user, password


@transaction.atomic
def change(actor: User, user: User, **fields) -> None:
    """Change fields of the account; only those that differ are saved.

    Raises Refused where the site would be left without an administrator.
    """
    if not fields.get("is_staff", True):
        _keep_an_administrator(user)
    changed = [name for name, value in fields.items() if getattr(user, name) != value]
    for name in changed:
        setattr(user, name, fields[name])
    if changed:
        user.save(update_fields=changed)
        audit.record(actor, "change account", user, fields=changed)
    if "sensitive" in changed:
        transaction.on_commit(lambda: willing.send(User, user=user))


@transaction.atomic
def new_password(actor: User, user: User) -> str:
    """Set a random password and return it. Sessions that used the old one end, and tokens are
    revoked.
    """
    password = random_password()
    user.set_password(password)
    user.save(update_fields=["password"])
    audit.record(actor, "new password", user)
    tokens.revoke_all(actor, user)
    return password


@transaction.atomic
def ask_for_reset(email: str) -> User | None:
    """The account to send a password reset link to.

    None where no account with a password has this e-mail, or where it asked RESETS_PER_HOUR times
    within the last hour.
    """
    user = User.objects.filter(email=email.strip().lower(), state__in=User.LET_IN).first()
    if user is None or not user.has_usable_password():
        return None
    # project and time first: the index starts with them
    recent_events = AuditEvent.objects.filter(project=None, at__gt=now() - timedelta(hours=1))
    if recent_events.filter(actor=user, verb="ask for password reset").count() >= RESETS_PER_HOUR:
        return None
    audit.record(user, "ask for password reset", user)
    return user


def pause(actor: User, user: User) -> None:
    """Pause the account: it can't log in, its sessions end, and its leases are returned.

    Raises Refused for the actor's own account and for the last administrator.
    """
    if actor == user:
        raise Refused(_("You can't pause your own account."))
    sessions = sessions_of(user)  # reads all sessions, so it runs before the transaction
    with transaction.atomic():
        _keep_an_administrator(user)  # two administrators may pause each other at once
        not_paused = User.objects.filter(pk=user.pk).exclude(state=User.State.PAUSED)
        if not_paused.update(state=User.State.PAUSED):
            audit.record(actor, "pause account", user)
        Session.objects.filter(pk__in=sessions).delete()
    paused.send(User, user=user, project=None)
    user.state = User.State.PAUSED


@transaction.atomic
def activate(actor: User, user: User) -> None:
    """Let the account log in again."""
    inactive = User.objects.filter(pk=user.pk).exclude(state=User.State.ACTIVE)
    if inactive.update(state=User.State.ACTIVE):
        audit.record(actor, "activate account", user)
    user.state = User.State.ACTIVE


def _keep_an_administrator(user: User) -> None:
    """Raises Refused where `user` is the only administrator.

    The rows are locked, so that two concurrent requests can't remove the last two administrators.
    """
    administrators = User.objects.filter(is_staff=True, state__in=User.LET_IN).order_by("pk")
    locked = administrators.select_for_update(no_key=True)
    if list(locked.values_list("pk", flat=True)) == [user.pk]:
        raise Refused(
            _("The site needs at least one administrator. Make somebody else one first."),
            "is_staff",
        )


def sessions_of(user: User) -> list[str]:
    """Keys of the sessions in which this user is logged in. Reads all unexpired sessions."""
    unexpired = Session.objects.filter(expire_date__gte=now()).iterator()
    return [
        session.pk
        for session in unexpired
        if session.get_decoded().get("_auth_user_id") == str(user.pk)
    ]


@receiver(user_logged_in)
def accept_invitation(sender: Any, user: User, **_) -> None:
    """An invited user becomes active at the first log-in."""
    if user.state == User.State.INVITED:
        User.objects.filter(pk=user.pk, state=User.State.INVITED).update(state=User.State.ACTIVE)
