"""Invitations: a link lets one person in, once. Its token is random and shown once; what is kept is
its hash.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.timezone import now
from django.utils.translation import gettext as _

from people import accounts, audit
from people.access import Refused
from people.models import Invitation, Membership, Project, User

State = Invitation.State


def open_to(project: Project | None) -> QuerySet[Invitation]:
    """What has been neither used nor withdrawn; expired ones too, for which a new link can be made."""
    return Invitation.objects.filter(project=project, state=State.OPEN).order_by("email")


@transaction.atomic
def invite(
    actor: User, email: str, project: Project | None, role: str = Membership.Role.LABELER
) -> tuple[Invitation, str]:
    """An invitation and its token. Whoever is invited already gets a new link in the place of the
    old.
    """
    email = email.strip().lower()
    _refuse_who_is_in(email, project)
    token = secrets.token_urlsafe(32)
    fields = {"role": role, "digest": _digest(token), "expires_at": _expiry(), "invited_by": actor}
    invitation, _new = Invitation.objects.update_or_create(
        project=project, email=email, state=State.OPEN, defaults=fields
    )
    audit.record(actor, "invite", invitation, project, email=email, role=role if project else "")
    return invitation, token


def renew(actor: User, invitation: Invitation) -> tuple[Invitation, str]:
    """A new link, valid from now; the old one no longer lets anybody in. Raises Refused for what is
    over.
    """
    if invitation.state != State.OPEN:
        raise Refused(_("This invitation was used or withdrawn: invite anew."))
    return invite(actor, invitation.email, invitation.project, invitation.role)


@transaction.atomic
def withdraw(actor: User, invitation: Invitation) -> None:
    if open_to(invitation.project).filter(pk=invitation.pk).update(state=State.WITHDRAWN):
        audit.record(
            actor, "withdraw invitation", invitation, invitation.project, email=invitation.email
        )


def find(token: str) -> Invitation | None:
    return (
        Invitation.objects.select_related("project", "invited_by")
        .filter(digest=_digest(token))
        .first()
    )


def refuse_unless_open(invitation: Invitation | None) -> None:
    """Raises Refused when the link lets nobody in, or no longer; the text says why."""
    if invitation is None or invitation.state == State.WITHDRAWN:
        raise Refused(_("This invitation was withdrawn, or a newer link took its place."))
    if invitation.state == State.USED:
        raise Refused(_("This invitation was used already. If it was you, log in."))
    if invitation.expired:
        raise Refused(_("This invitation has expired."))
    if invitation.project and invitation.project.state == Project.State.ARCHIVED:
        raise Refused(_("The project that you were invited to is closed."))


@transaction.atomic
def accept(user: User, invitation: Invitation) -> None:
    """Somebody with an account comes in. Raises Refused when the invitation is another's, or was
    used meanwhile.
    """
    if user.email != invitation.email:
        raise Refused(_("This invitation is for %(email)s.") % {"email": invitation.email})
    refuse_unless_open(invitation)
    if not open_to(invitation.project).filter(pk=invitation.pk).update(state=State.USED):
        raise Refused(_("This invitation was used or withdrawn just now. If it was you, log in."))
    if invitation.project:
        Membership.objects.get_or_create(
            project=invitation.project, user=user, defaults={"role": invitation.role}
        )
    audit.record(user, "accept invitation", invitation, invitation.project, role=invitation.role)


@transaction.atomic
def sign_up(invitation: Invitation, password: str, **fields) -> User:
    """Somebody without an account makes one and comes in. Raises Refused as above, or for a known
    e-mail.
    """
    user, _password = accounts.create(None, invitation.email, password, **fields)
    accept(user, invitation)
    return user


def _refuse_who_is_in(email: str, project: Project | None) -> None:
    known = User.objects.filter(email=email)
    if project is None and known.exists():
        raise Refused(_("There is an account with this e-mail already."), "email")
    if project is not None and known.filter(memberships__project=project).exists():
        raise Refused(_("%(person)s is in this project already.") % {"person": email}, "email")


def _expiry():
    return now() + timedelta(days=settings.INVITATION_DAYS)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
