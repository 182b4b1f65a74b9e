"""Who may act: one helper loads the project and the membership, or answers 404 or 403."""

from functools import wraps

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from people.db.compiled import composed
from people.models import Invitation, Membership, Project, User

Role = Membership.Role
ANYONE = tuple(Role)
RANKERS = (Role.LABELER, Role.LEAD, Role.ADMIN)
LEADS = (Role.LEAD, Role.ADMIN)
READERS = (Role.RESEARCHER, Role.ADMIN)
ADMINS = (Role.ADMIN,)


class Refused(Exception):
    """It can't be done; the text says why, and `field` names what it concerns, if one."""

    def __init__(self, message: str, field: str | None = None):
        super().__init__(message)
        self.field = field


def membership_or_404(user: User, slug: str, roles=ANYONE) -> Membership:
    """The user's membership in the project. A stranger learns nothing (404); the wrong role is told
    so (403).
    """
    found = _membership(slug, user.pk)
    if not found:
        raise Http404
    [membership] = found
    membership.user = user  # read already
    hidden = membership.project.state == Project.State.DRAFT and membership.role != Role.ADMIN
    if hidden:
        raise Http404
    if membership.role not in roles:
        raise PermissionDenied
    return membership


@composed
def _membership(slug, user):
    return Membership.objects.select_related("project").filter(project__slug=slug, user=user)


def member(*roles, archived: bool = False):
    """Decorator: `view(request, slug, …)` becomes `view(request, …)` with `request.membership` and
    `request.project`.

    An archived project is read-only: a POST reaches only views that say `archived=True`.
    """

    def decorate(view):
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
    """An invitation that this person may renew or withdraw: into a project as its admin, else as
    the site's.
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


def refuse_archived(project: Project) -> None:
    if project.state == Project.State.ARCHIVED:
        raise PermissionDenied(_("This project is archived: it can be read, not changed."))


def site_admin(view):
    """Decorator: only administrators of the site."""

    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, **kwargs):
        if not request.user.is_staff:
            raise PermissionDenied
        return view(request, **kwargs)

    return guarded
