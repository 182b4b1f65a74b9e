"""Invitations: a link with which one person joins a project or the site, once.

The link holds a random token that is shown once. Only its hash is stored.
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
    """Invitations neither used nor withdrawn, including expired ones: they can be renewed."""
    return Invitation.objects.filter(project=project, state=State.OPEN).order_by("email")


@transaction.atomic
def invite(
    actor: User, email: str, project: Project | None, role: str = Membership.Role.LABELER
) -> tuple[Invitation, str]:
    """Create an invitation and its token. An open invitation of this e-mail gets a new token.

    Raises Refused where the e-mail has an account on the site, or a membership in the project.
    """
    email = email.strip().lower()
    _refuse_members(email, project)
    token = secrets.token_urlsafe(32)
    fields = {"role": role, "digest": _digest(token), "expires_at": _expiry(), "invited_by": actor}
    invitation, _created = Invitation.objects.update_or_create(
        project=project, email=email, state=State.OPEN, defaults=fields
    )
    audit.record(actor, "invite", invitation, project, email=email, role=role if project else "")
    return invitation, token


def renew(actor: User, invitation: Invitation) -> tuple[Invitation, str]:
    """Give the invitation a new token and expiry; the old link stops working.

    Raises Refused where the invitation was used or withdrawn.
    """
    if invitation.state != State.OPEN:
        raise Refused(_("This invitation was used or withdrawn. Create a new one."))
    return invite(actor, invitation.email, invitation.project, invitation.role)


@transaction.atomic
def withdraw(actor: User, invitation: Invitation) -> None:
    """Make the link invalid. Withdrawing twice is harmless."""
    if open_to(invitation.project).filter(pk=invitation.pk).update(state=State.WITHDRAWN):
        audit.record(
            actor, "withdraw invitation", invitation, invitation.project, email=invitation.email
        )


def find(token: str) -> Invitation | None:
    """The invitation of this token, whatever its state."""
    return (
        Invitation.objects.select_related("project", "invited_by")
        .filter(digest=_digest(token))
        .first()
    )


def refuse_unless_open(invitation: Invitation | None) -> None:
    """Raises Refused, with the reason, where the invitation can't be accepted."""
    if invitation is None or invitation.state == State.WITHDRAWN:
        raise Refused(_("This invitation was withdrawn or replaced by a newer link."))
    if invitation.state == State.USED:
        raise Refused(_("This invitation was already used. If you used it, log in."))
    if invitation.expired:
        raise Refused(_("This invitation has expired. Ask for a new one."))
    if invitation.project and invitation.project.state == Project.State.ARCHIVED:
        raise Refused(_("The project that you were invited to is archived."))


@transaction.atomic
def accept(user: User, invitation: Invitation) -> None:
    """Join with an existing account.

    Raises Refused where the invitation is for another e-mail, or is no longer open.
    """
    if user.email != invitation.email:
        raise Refused(_("This invitation is for %(email)s.") % {"email": invitation.email})
    refuse_unless_open(invitation)
    if not open_to(invitation.project).filter(pk=invitation.pk).update(state=State.USED):
        raise Refused(_("This invitation was just used or withdrawn. If you used it, log in."))
    if invitation.project:
        Membership.objects.get_or_create(
            project=invitation.project, user=user, defaults={"role": invitation.role}
        )
    audit.record(user, "accept invitation", invitation, invitation.project, role=invitation.role)


@transaction.atomic
def sign_up(invitation: Invitation, password: str, **fields) -> User:
    """Create an account and join with it.

    Raises Refused as `accept` does, or where the e-mail has an account.
    """
    user, _password = accounts.create(None, invitation.email, password, **fields)
    accept(user, invitation)
    return user


def _refuse_members(email: str, project: Project | None) -> None:
    users = User.objects.filter(email=email)
    if project is None and users.exists():
        raise Refused(_("An account with this e-mail already exists."), "email")
    if project is not None and users.filter(memberships__project=project).exists():
        raise Refused(
            _("%(person)s is already a member of this project.") % {"person": email}, "email"
        )


def _expiry():
    return now() + timedelta(days=settings.INVITATION_DAYS)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
