"""Permissions: load the project and the membership, or answer 404 or 403."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _

from people.db.compiled import compiled
from people.models import Invitation, Membership, Project, User

Role = Membership.Role
# What is read together with a membership. An app above adds its row of settings of the project.
READ_WITH = ["project"]
ANYONE = tuple(Role)
RANKERS = (Role.LABELER, Role.LEAD, Role.ADMIN)
LEADS = (Role.LEAD, Role.ADMIN)
READERS = (Role.RESEARCHER, Role.ADMIN)
ADMINS = (Role.ADMIN,)

View = Callable[..., HttpResponseBase]


class Refused(Exception):
    """The action is not possible. The text says why; `field` names the field at fault, if any."""

    def __init__(self, message: str, field: str | None = None):
        super().__init__(message)
        self.field = field


def membership_or_404(user: User, slug: str, roles: Collection[str] = ANYONE) -> Membership:
    """The user's membership in the project.

    Raises Http404 for a non-member and for a draft that the user does not administer, so that
    neither learns that the project exists. Raises PermissionDenied for a role outside `roles`.
    """
    memberships = _membership(slug, user.pk)
    if not memberships:
        raise Http404
    [membership] = memberships
    membership.user = user  # saves a query: the user is loaded already
    hidden = membership.project.state == Project.State.DRAFT and membership.role != Role.ADMIN
    if hidden:
        raise Http404
    if membership.role not in roles:
        raise PermissionDenied
    return membership


@compiled
def _membership(slug: str, user: int):
    return Membership.objects.select_related(*READ_WITH).filter(project__slug=slug, user=user)


def member(*roles, archived: bool = False) -> Callable[[View], View]:
    """Decorator for a view of one project, open to members with one of `roles` (default: all).

    It replaces the argument `slug` by `request.membership` and `request.project`. An archived
    project is read-only: it accepts a POST only in views with `archived=True`.
    """

    def decorate(view: View) -> View:
        @login_required
        @wraps(view)
        def guarded(request: HttpRequest, slug: str, **kwargs):
            request.membership = membership_or_404(request.user, slug, roles or ANYONE)
            request.project = request.membership.project
            if request.method == "POST" and not archived:
                refuse_archived(request.project)
            return view(request, **kwargs)

        return guarded

    return decorate


def invitation_or_404(user: User, pk: int) -> Invitation:
    """An invitation that this user may renew or withdraw.

    An admin of the project manages its invitations; an administrator of the site manages those
    that belong to no project. Raises Http404 or PermissionDenied otherwise.
    """
    invitation = Invitation.objects.select_related("project").filter(pk=pk).first()
    if invitation is None:
        raise Http404
    if invitation.project:
        invitation.project = membership_or_404(user, invitation.project.slug, ADMINS).project
        refuse_archived(invitation.project)
    elif not user.is_staff:
        raise PermissionDenied
    return invitation


def sees_names(membership: Membership) -> bool:
    """Whether this member may know who judged. Researchers know judges by pseudonyms."""
    return membership.role == Role.ADMIN


def refuse_archived(project: Project) -> None:
    """Raises PermissionDenied where the project is archived."""
    if project.state == Project.State.ARCHIVED:
        raise PermissionDenied(_("This project is archived and read-only."))


def site_admin(view: View) -> View:
    """Decorator for a view that only administrators of the site may open."""

    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, **kwargs):
        if not request.user.is_staff:
            raise PermissionDenied
        return view(request, **kwargs)

    return guarded
