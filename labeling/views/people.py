"""A project's people and settings."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count, Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from labeling.models import Ranking
from people import projects, receipts
from people.access import ADMINS, Refused, Role, member
from people.forms import MemberForm, SettingsForm
from people.models import Membership, Project


@member(*ADMINS)
def members(request: HttpRequest) -> HttpResponse:
    """Who is in the project and what they have done; the form adds one more."""
    form = MemberForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            receipts.once(request.user, form.cleaned_data["key"], lambda: add(request, form))
            return redirect("members", request.project.slug)
        except Refused as error:
            form.add_error(error.field, str(error))
    context = {"form": form, "people": with_work(request.project), "roles": Role.choices}
    return render(request, "labeling/members.html", context, status=422 if form.errors else 200)


def add(request: HttpRequest, form: MemberForm) -> dict:
    return {"membership": projects.add_member(request.user, request.project, **form.values()).pk}


def with_work(project: Project) -> list[Membership]:
    """The memberships, each with how many rankings and when the last: two queries."""
    done = Ranking.objects.filter(task__project=project, current=True, labeler__isnull=False).values("labeler")
    work = {row["labeler"]: row for row in done.annotate(count=Count("pk"), last=Max("created_at"))}
    people = list(project.memberships.select_related("user").order_by("role", "user__email"))
    for one in people:
        one.work = work.get(one.user_id, {"count": 0, "last": None})
    return people


def membership(request: HttpRequest, pk: int) -> Membership:
    return get_object_or_404(Membership.objects.select_related("user", "project"), project=request.project, pk=pk)


@member(*ADMINS)
@require_POST
def member_role(request: HttpRequest, pk: int) -> HttpResponse:
    role = request.POST.get("role", "")
    if role in Role.values:
        tell(request, lambda: projects.change_role(request.user, membership(request, pk), role))
    return redirect("members", request.project.slug)


@member(*ADMINS)
@require_POST
def member_pause(request: HttpRequest, pk: int) -> HttpResponse:
    tell(request, lambda: projects.pause(request.user, membership(request, pk)))
    return redirect("members", request.project.slug)


@member(*ADMINS)
@require_POST
def member_unpause(request: HttpRequest, pk: int) -> HttpResponse:
    tell(request, lambda: projects.unpause(request.user, membership(request, pk)))
    return redirect("members", request.project.slug)


def tell(request: HttpRequest, verb) -> None:
    """Do it, or say why not."""
    try:
        verb()
    except Refused as error:
        messages.error(request, str(error))


@member(*ADMINS, archived=True)
def settings(request: HttpRequest) -> HttpResponse:
    form = SettingsForm(request.POST or None, instance=Project.objects.get(pk=request.project.pk))
    if request.method == "POST" and form.is_valid():
        projects.change(request.user, request.project, **form.cleaned_data)
        messages.success(request, _("The settings are saved."))
        return redirect("settings", request.project.slug)
    return render(request, "labeling/settings.html", {"form": form}, status=422 if form.errors else 200)
