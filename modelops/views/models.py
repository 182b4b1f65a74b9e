"""Pages that register a model version, and the action that promotes one."""

from __future__ import annotations

from pathlib import Path

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from modelops import registry
from modelops.forms.models import RegisterForm, ServedForm
from modelops.models import ModelVersion
from people import idempotency
from people.access import ADMINS, member


@member(*ADMINS)
@require_POST
def model_promote(request: HttpRequest, pk: int) -> HttpResponse:
    """Point `champion` at this version; promoting the one before takes it back."""
    version = get_object_or_404(registry.policies(request.project), pk=pk)
    registry.promote(request.user, request.project, version)
    messages.success(
        request,
        _("%(model)s is champion now: it samples the next round.") % {"model": version.name},
    )
    return redirect("model", request.project.slug, pk)


@member(*ADMINS)
def model_register(request: HttpRequest) -> HttpResponse:
    form = RegisterForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            result, _new = idempotency.once(
                request.user,
                form.cleaned_data["key"],
                lambda: {"model": register(request, form).pk},
            )
            return redirect("model", request.project.slug, result["model"])
        except registry.NotRegistered as error:
            form.add_error(
                "name" if isinstance(error, registry.NameTaken) else "folder", str(error)
            )
    return render(
        request,
        "modelops/models/model_register.html",
        {"form": form},
        status=422 if form.errors else 200,
    )


@member(*ADMINS)
def model_serve(request: HttpRequest) -> HttpResponse:
    """Register a model that a server answers for."""
    form = ServedForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            result, _new = idempotency.once(
                request.user, form.cleaned_data["key"], lambda: {"model": serve(request, form).pk}
            )
            return redirect("model", request.project.slug, result["model"])
        except registry.NotRegistered as error:
            form.add_error(
                "name" if isinstance(error, registry.NameTaken) else "address", str(error)
            )
    return render(
        request,
        "modelops/models/model_serve.html",
        {"form": form},
        status=422 if form.errors else 200,
    )


def serve(request: HttpRequest, form: ServedForm) -> ModelVersion:
    return registry.register_served(request.user, request.project, **form.values())


def register(request: HttpRequest, form: RegisterForm) -> ModelVersion:
    return registry.register_local(
        request.user, request.project, form.cleaned_data["name"], Path(form.cleaned_data["folder"])
    )
