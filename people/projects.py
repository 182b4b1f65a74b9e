"""Projects and their members: create and change projects; add, pause and remove members."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Model
from django.utils.translation import gettext as _

from people import audit
from people.access import Refused
from people.models import Membership, Project, User
from people.signals import archived, paused

Role = Membership.Role


@transaction.atomic
def create(actor: User, **fields) -> Project:
    """Create a project; the actor becomes its first admin. Raises Refused if the slug is taken."""
    if Project.objects.filter(slug=fields["slug"]).exists():
        raise Refused(_("A project with this short name already exists."), "slug")
    project = Project.objects.create(**fields)
    Membership.objects.create(project=project, user=actor, role=Role.ADMIN)
    audit.record(actor, "create project", project, project, name=project.name)
    return project


def change(actor: User, project: Project, settings: Model | None = None, **fields) -> dict:
    """Change fields of the project, and of `settings`, a row in which an app above keeps more of
    them; returns those that were changed. Archiving returns leases and cancels waiting jobs.
    """
    changed = _save_changed(actor, project, settings, fields)
    if changed.get("state") == Project.State.ARCHIVED:
        archived.send(Project, actor=actor, project=project)
    return changed


@transaction.atomic
def _save_changed(actor: User, project: Project, settings: Model | None, fields: dict) -> dict:
    # no_key: rows that refer to the project can still be inserted. It locks the settings too.
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    of_settings = {field.name for field in settings._meta.fields} if settings else set()
    changed = _save(project, {name: fields[name] for name in fields if name not in of_settings})
    changed += _save(settings, {name: fields[name] for name in fields if name in of_settings})
    changed = [name for name in fields if name in changed]
    if changed:
        audit.record(actor, "change project", project, project, fields=changed, state=project.state)
    return {name: fields[name] for name in changed}


def _save(row: Model | None, fields: dict) -> list[str]:
    """Save the fields that differ from the stored row; returns their names."""
    if not fields:
        return []
    stored = type(row)._default_manager.get(pk=row.pk)
    changed = [name for name, value in fields.items() if getattr(stored, name) != value]
    for name in changed:
        setattr(row, name, fields[name])
    row.save(update_fields=changed)
    return changed


@transaction.atomic
def add_member(actor: User, project: Project, email: str, role: str) -> Membership:
    """Add somebody who has an account.

    Raises Refused where the account doesn't exist, or is a member already.
    """
    user = User.objects.filter(email=email.strip().lower()).first()
    if user is None:
        raise Refused(_("No account has this e-mail. Send an invitation instead."), "email")
    membership, created = Membership.objects.get_or_create(
        project=project, user=user, defaults={"role": role}
    )
    if not created:
        raise Refused(
            _("%(person)s is already a member of this project.") % {"person": user}, "email"
        )
    audit.record(actor, "add member", membership, project, email=user.email, role=role)
    return membership


@transaction.atomic
def change_role(actor: User, membership: Membership, role: str) -> None:
    """Change a member's role. Raises Refused where the project would have no admin left."""
    if role != Role.ADMIN:
        _keep_an_admin(membership)
    if Membership.objects.filter(pk=membership.pk).exclude(role=role).update(role=role):
        audit.record(
            actor, "change role", membership, membership.project, role=role, before=membership.role
        )
    membership.role = role


def pause(actor: User, membership: Membership) -> None:
    """Give this member no new tasks, and return their leases. Raises Refused for the last admin."""
    with transaction.atomic():
        _keep_an_admin(membership)
        if Membership.objects.filter(pk=membership.pk, paused=False).update(paused=True):
            audit.record(actor, "pause member", membership, membership.project)
    paused.send(Membership, user=membership.user, project=membership.project)


@transaction.atomic
def unpause(actor: User, membership: Membership) -> None:
    """Give this member tasks again."""
    if Membership.objects.filter(pk=membership.pk, paused=True).update(paused=False):
        audit.record(actor, "unpause member", membership, membership.project)


def remove_member(actor: User, membership: Membership) -> None:
    """Remove a member, or leave the project: leases are returned, and all finished work stays.

    Adding the member again undoes it. Raises Refused for the last admin.
    """
    user, project = membership.user, membership.project
    verb = "leave project" if actor == user else "remove member"
    with transaction.atomic():
        _keep_an_admin(membership)
        deleted, _by_model = Membership.objects.filter(pk=membership.pk).delete()
        if deleted:
            audit.record(actor, verb, user, project, email=user.email, role=membership.role)
    paused.send(Membership, user=user, project=project)


def _keep_an_admin(membership: Membership) -> None:
    """Raises Refused where `membership` is the project's only active admin.

    An admin whose membership or account is paused doesn't count. The rows are locked, so that two
    concurrent requests can't remove the last two admins.
    """
    admins = Membership.objects.filter(
        project=membership.project, role=Role.ADMIN, paused=False, user__state__in=User.LET_IN
    )
    pks = list(admins.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
    if pks == [membership.pk]:
        raise Refused(_("A project needs at least one admin. Make somebody else admin first."))
