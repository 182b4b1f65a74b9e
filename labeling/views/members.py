"""A project's people."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from labeling.models import Ranking, RankingTask
from labeling.quality import gold, peers, recent
from people import idempotency, invitations, projects
from people.access import ADMINS, LEADS, Refused, Role, member
from people.forms import MemberForm
from people.models import Invitation, Membership, Project, User
from people.signup import show_link


@member(*LEADS)
@never_cache
def members(request: HttpRequest) -> HttpResponse:
    """Who is in the project, what they have done and how they agree with each other.

    An admin sees who is invited, too, and lets one more in by the form; a lead changes nothing.
    """
    if request.membership.role == Role.LEAD:
        if request.method != "GET":
            raise PermissionDenied
        return render(request, "labeling/project/members.html", at_work(request.project))
    form = MemberForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            return add_or_invite(request, form)
        except Refused as error:
            form.add_error(error.field, str(error))
    context = at_work(request.project) | {
        "form": form,
        "gold_tasks": RankingTask.objects.filter(
            project=request.project, purpose=RankingTask.Purpose.GOLD
        ).count(),
        "invitations": invitations.open_to(request.project),
        "roles": Role.choices,
    }
    return render(
        request, "labeling/project/members.html", context, status=422 if form.errors else 200
    )


def add_or_invite(request: HttpRequest, form: MemberForm) -> HttpResponse:
    """Whoever has an account is added; anybody else gets an invitation, whose link is shown this
    once.
    """
    shown = []

    def verb() -> dict:
        email, role = form.cleaned_data["email"], form.cleaned_data["role"]
        if User.objects.filter(email=email.lower()).exists():
            return {
                "membership": projects.add_member(request.user, request.project, email, role).pk
            }
        invitation, token = invitations.invite(request.user, email, request.project, role)
        shown.append(token)
        return {"invitation": invitation.pk}

    result, _new = idempotency.once(request.user, form.cleaned_data["key"], verb)
    if "invitation" in result:
        return show_link(request, Invitation.objects.get(pk=result["invitation"]), "".join(shown))
    return redirect("members", request.project.slug)


def at_work(project: Project) -> dict:
    """The people and what they did, with what their agreement leaves out."""
    return {
        "people": with_work(project),
        "newest": peers.NEWEST,
        "left_out": recent.left_out(project),
    }


def with_work(project: Project) -> list[Membership]:
    """The memberships, each with how many rankings, when the last, and how they agree.

    That is with the answer keys and with the others, in a constant number of queries.
    """
    done = Ranking.objects.filter(
        task__project=project, current=True, labeler__isnull=False
    ).values("labeler")
    work = {row["labeler"]: row for row in done.annotate(count=Count("pk"), last=Max("created_at"))}
    against_keys, with_others = gold.figures(project), peers.figures(project)
    people = list(project.memberships.select_related("user").order_by("role", "user__email"))
    for membership in people:
        membership.work = work.get(membership.user_id, {"count": 0, "last": None})
        membership.gold = against_keys.get(membership.user_id)
        membership.peers = with_others.get(membership.user.uuid)
    return people


def membership_or_404(request: HttpRequest, pk: int) -> Membership:
    return get_object_or_404(
        Membership.objects.select_related("user", "project"), project=request.project, pk=pk
    )


@member(*ADMINS)
@require_POST
def member_role(request: HttpRequest, pk: int) -> HttpResponse:
    role = request.POST.get("role", "")
    if role in Role.values:
        try_or_message(
            request,
            lambda: projects.change_role(request.user, membership_or_404(request, pk), role),
        )
    return redirect("members", request.project.slug)


@member(*ADMINS)
@require_POST
def member_pause(request: HttpRequest, pk: int) -> HttpResponse:
    try_or_message(request, lambda: projects.pause(request.user, membership_or_404(request, pk)))
    return redirect("members", request.project.slug)


@member(*ADMINS)
@require_POST
def member_unpause(request: HttpRequest, pk: int) -> HttpResponse:
    try_or_message(request, lambda: projects.unpause(request.user, membership_or_404(request, pk)))
    return redirect("members", request.project.slug)


@member(*ADMINS)
@require_POST
def member_remove(request: HttpRequest, pk: int) -> HttpResponse:
    membership = membership_or_404(request, pk)
    try_or_message(request, lambda: projects.remove_member(request.user, membership))
    if not Membership.objects.filter(project=request.project, user=request.user).exists():
        return redirect("home")  # who takes themselves out can't see the list any more
    return redirect("members", request.project.slug)


@member(archived=True)
@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """Everybody may go by themselves, but for the last admin."""
    if try_or_message(request, lambda: projects.remove_member(request.user, request.membership)):
        left = _("You have left %(project)s. One of its admins can add you again.")
        messages.success(request, left % {"project": request.project})
    return redirect("account")


def try_or_message(request: HttpRequest, verb: Callable[[], object]) -> bool:
    """Do it, or say why not; returns whether it is done."""
    try:
        verb()
    except Refused as error:
        messages.error(request, str(error))
        return False
    return True
