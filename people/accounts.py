"""Accounts: create, change, pause, and let in again."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.db import transaction
from django.dispatch import receiver
from django.utils.timezone import now
from django.utils.translation import gettext as _

from people import audit
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
    """A new account and its first password, which is kept nowhere in clear. Raises Refused for a
    known e-mail.
    """
    if User.objects.filter(email=email.strip().lower()).exists():
        raise Refused(_("There is an account with this e-mail already."), "email")
    password = password or random_password()
    user = User.objects.create_user(email, password, state=User.State.INVITED, **fields)
    audit.record(actor, "create account", user, email=user.email)
    return user, password


@transaction.atomic
def change(actor: User, user: User, **fields) -> None:
    """Change name, zone and the like; only what differs is written. Raises Refused for the last
    administrator.
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
    """A new random password; whoever is logged in with the old one is logged out."""
    password = random_password()
    user.set_password(password)
    user.save(update_fields=["password"])
    audit.record(actor, "new password", user)
    return password


@transaction.atomic
def ask_for_reset(email: str) -> User | None:
    """Whom to send a link for a new password: nobody without such an account, or who got several
    lately.
    """
    user = User.objects.filter(email=email.strip().lower(), state__in=User.LET_IN).first()
    if user is None or not user.has_usable_password():
        return None
    lately = AuditEvent.objects.filter(
        project=None, at__gt=now() - timedelta(hours=1)
    )  # as the index goes
    if lately.filter(actor=user, verb="ask for password reset").count() >= RESETS_PER_HOUR:
        return None
    audit.record(user, "ask for password reset", user)
    return user


def pause(actor: User, user: User) -> None:
    """Nobody logs in with this account any more, its sessions end, its leases go back. Raises
    Refused for one's own.
    """
    if actor == user:
        raise Refused(_("You can't pause your own account."))
    sessions = sessions_of(user)  # reads every session: outside the transaction
    with transaction.atomic():
        _keep_an_administrator(user)  # two who pause each other
        if (
            User.objects.filter(pk=user.pk)
            .exclude(state=User.State.PAUSED)
            .update(state=User.State.PAUSED)
        ):
            audit.record(actor, "pause account", user)
        Session.objects.filter(pk__in=sessions).delete()
    paused.send(User, user=user, project=None)
    user.state = User.State.PAUSED


@transaction.atomic
def activate(actor: User, user: User) -> None:
    if (
        User.objects.filter(pk=user.pk)
        .exclude(state=User.State.ACTIVE)
        .update(state=User.State.ACTIVE)
    ):
        audit.record(actor, "activate account", user)
    user.state = User.State.ACTIVE


def _keep_an_administrator(user: User) -> None:
    """Locks the administrators, so that two at once can't both be the last but one."""
    administrators = User.objects.filter(is_staff=True, state__in=User.LET_IN).order_by("pk")
    if list(administrators.select_for_update(no_key=True).values_list("pk", flat=True)) == [
        user.pk
    ]:
        raise Refused(
            _("The site keeps at least one administrator: make somebody else one first."),
            "is_staff",
        )


def sessions_of(user: User) -> list[str]:
    """Keys of the sessions in which this person is logged in."""
    alive = Session.objects.filter(expire_date__gte=now()).iterator()
    return [
        session.pk
        for session in alive
        if session.get_decoded().get("_auth_user_id") == str(user.pk)
    ]


@receiver(user_logged_in)
def accept_invitation(sender, user: User, **_) -> None:
    """Who logs in has accepted."""
    if user.state == User.State.INVITED:
        User.objects.filter(pk=user.pk, state=User.State.INVITED).update(state=User.State.ACTIVE)
