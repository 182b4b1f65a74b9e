"""Projects and who is in them: create, change, add, pause, remove."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from people import audit
from people.access import Refused
from people.models import Membership, Project, User
from people.signals import archived, paused, reordered

Role = Membership.Role


@transaction.atomic
def create(actor: User, **fields) -> Project:
    """A new project; whoever creates it is its first admin. Raises Refused for a short name in use."""
    if Project.objects.filter(slug=fields["slug"]).exists():
        raise Refused(_("There is a project with this short name already."), "slug")
    project = Project.objects.create(**fields)
    Membership.objects.create(project=project, user=actor, role=Role.ADMIN)
    audit.record(actor, "create project", project, project, name=project.name)
    return project


def change(actor: User, project: Project, **fields) -> None:
    """Change settings; archiving returns leases and cancels waiting jobs."""
    changed = _save_changed(actor, project, fields)
    if "completion" in changed:
        reordered.send(Project, project=project)
    if changed.get("state") == Project.State.ARCHIVED:
        archived.send(Project, actor=actor, project=project)


@transaction.atomic
def _save_changed(actor: User, project: Project, fields: dict) -> dict:
    before = Project.objects.select_for_update(no_key=True).get(
        pk=project.pk
    )  # others may still point at it
    changed = {name: value for name, value in fields.items() if getattr(before, name) != value}
    for name, value in changed.items():
        setattr(project, name, value)
    if changed:
        project.save(update_fields=list(changed))
        audit.record(
            actor, "change project", project, project, fields=list(changed), state=project.state
        )
    return changed


@transaction.atomic
def add_member(actor: User, project: Project, email: str, role: str) -> Membership:
    """Let somebody with an account in. Raises Refused when there is no such account, or they are in
    already.
    """
    user = User.objects.filter(email=email.strip().lower()).first()
    if user is None:
        raise Refused(_("There is no account with this e-mail: invite them."), "email")
    membership, new = Membership.objects.get_or_create(
        project=project, user=user, defaults={"role": role}
    )
    if not new:
        raise Refused(_("%(person)s is in this project already.") % {"person": user}, "email")
    audit.record(actor, "add member", membership, project, email=user.email, role=role)
    return membership


@transaction.atomic
def change_role(actor: User, membership: Membership, role: str) -> None:
    """Raises Refused where it would leave the project without an admin."""
    if role != Role.ADMIN:
        _keep_an_admin(membership)
    if Membership.objects.filter(pk=membership.pk).exclude(role=role).update(role=role):
        audit.record(
            actor, "change role", membership, membership.project, role=role, before=membership.role
        )
    membership.role = role


def pause(actor: User, membership: Membership) -> None:
    """Give this person no more tasks here; what they hold goes back. Raises Refused for the last
    admin.
    """
    with transaction.atomic():
        _keep_an_admin(membership)
        if Membership.objects.filter(pk=membership.pk, paused=False).update(paused=True):
            audit.record(actor, "pause member", membership, membership.project)
    paused.send(Membership, user=membership.user, project=membership.project)


@transaction.atomic
def unpause(actor: User, membership: Membership) -> None:
    if Membership.objects.filter(pk=membership.pk, paused=True).update(paused=False):
        audit.record(actor, "unpause member", membership, membership.project)


def remove_member(actor: User, membership: Membership) -> None:
    """This person leaves the project, by themselves or not: what they hold goes back, what they did
    stays.

    Adding them again undoes it. Raises Refused for the last admin.
    """
    user, project = membership.user, membership.project
    verb = "leave project" if actor == user else "remove member"
    with transaction.atomic():
        _keep_an_admin(membership)
        gone, _rows = Membership.objects.filter(pk=membership.pk).delete()
        if gone:
            audit.record(actor, verb, user, project, email=user.email, role=membership.role)
    paused.send(Membership, user=user, project=project)


def _keep_an_admin(membership: Membership) -> None:
    """An admin who is paused, here or by their account, can't run the project; locked, so that two
    can't go at once.
    """
    admins = Membership.objects.filter(
        project=membership.project, role=Role.ADMIN, paused=False, user__state__in=User.LET_IN
    )
    pks = list(admins.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
    if pks == [membership.pk]:
        raise Refused(_("A project keeps at least one admin: make somebody else admin first."))
