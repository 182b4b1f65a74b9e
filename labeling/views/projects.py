"""A new project, and the settings of a project."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from labeling import project_settings
from labeling.project_forms import ProjectForm, SettingsForm
from people import idempotency
from people.access import ADMINS, Refused, member, site_admin
from people.models import Project


@site_admin
def project_new(request: HttpRequest) -> HttpResponse:
    form = ProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            result, _created = idempotency.once(
                request.user,
                form.cleaned_data["key"],
                lambda: {"slug": project_settings.create(request.user, **form.values()).slug},
            )
            return redirect("project", result["slug"])
        except Refused as error:
            form.add_error(error.field, str(error))
    return render(
        request,
        "labeling/project/new.html",
        {"form": form},
        status=422 if form.errors else 200,
    )


@member(*ADMINS, archived=True)
def settings(request: HttpRequest) -> HttpResponse:
    project = Project.objects.select_related("rules").get(pk=request.project.pk)
    form = SettingsForm(request.POST or None, instance=project)
    if request.method == "POST" and form.is_valid():
        project_settings.change(request.user, request.project, **form.cleaned_data)
        messages.success(request, _("The settings are saved."))
        return redirect("settings", request.project.slug)
    return render(
        request,
        "labeling/project/settings.html",
        {"form": form},
        status=422 if form.errors else 200,
    )
