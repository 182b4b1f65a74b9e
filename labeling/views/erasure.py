"""Erase what somebody judged in the project."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling import erasure
from people.access import ADMINS, member
from people.forms import IdempotentForm
from people.models import Membership


class EraseForm(IdempotentForm):
    why = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=200,
        help_text=gettext_lazy(
            "Shown on the pages of the withdrawn datasets; do not name anybody."
        ),
    )


@member(*ADMINS)
def erase(request: HttpRequest, pk: int) -> HttpResponse:
    """Says what would go and which models learned from it, and does it when a reason is given."""
    membership = get_object_or_404(
        Membership.objects.select_related("user"), project=request.project, pk=pk
    )
    form = EraseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return erase_now(request, membership, form)
    context = {
        "membership": membership,
        "form": form,
        "foreseen": erasure.foresee(request.project, membership.user),
    }
    return render(
        request, "labeling/project/erase.html", context, status=422 if form.errors else 200
    )


def erase_now(request: HttpRequest, membership: Membership, form: EraseForm) -> HttpResponse:
    """Outside a receipt, whose transaction would hold up everybody else: to erase twice is to erase
    once.
    """
    erased = erasure.erase(request.user, request.project, membership.user, form.cleaned_data["why"])
    messages.success(request, _("%(n)s rankings are erased.") % {"n": erased.rankings})
    if erased.datasets:
        names = ", ".join(dataset.short for dataset in erased.datasets)
        messages.warning(
            request, _("Withdrawn, and frozen again without them: %(names)s.") % {"names": names}
        )
    if erased.models:
        names = ", ".join(version.name for version in erased.models)
        messages.warning(
            request, _("These models learned from what was erased: %(names)s.") % {"names": names}
        )
    return redirect("members", request.project.slug)
