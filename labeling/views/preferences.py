"""How one person works at the ranking page: the layout of answers, and the keys."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from labeling.judging import shortcuts
from people import accounts
from people.access import RANKERS, member
from people.models import User


@member(*RANKERS, archived=True)
@require_POST
def rank_desk(request: HttpRequest) -> HttpResponse:
    """Remember how answers are laid out; what is not said stays as it is."""
    desk = dict(request.user.desk)
    if request.POST.get("layout") in ("columns", "stack"):
        desk["layout"] = request.POST["layout"]
    if request.POST.get("source") in ("on", "off"):
        desk["source"] = request.POST["source"] == "on"
    User.objects.filter(pk=request.user.pk).update(desk=desk)
    return HttpResponse(status=204)


@member(*RANKERS, archived=True)
def rank_keys(request: HttpRequest) -> HttpResponse:
    """Choose the key of each action; an empty field is the standard one."""
    chosen = shortcuts.of(request.user)
    problems = {}
    if request.method == "POST":
        chosen = {
            name: request.POST.get(name, "").strip().lower() or shortcut.key
            for name, shortcut in shortcuts.SHORTCUTS.items()
        }
        problems = shortcuts.problems(chosen)
        if not problems:
            own = {
                name: key for name, key in chosen.items() if key != shortcuts.SHORTCUTS[name].key
            }
            accounts.change(request.user, request.user, keys=own)
            messages.success(request, _("Your keys are saved."))
            return redirect("rank", request.project.slug)
    fields = [
        (name, shortcut, chosen[name], problems.get(name))
        for name, shortcut in shortcuts.SHORTCUTS.items()
    ]
    return render(
        request, "labeling/judging/keys.html", {"fields": fields}, status=422 if problems else 200
    )
