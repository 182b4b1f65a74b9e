"""The questions of a project: what is asked beside ranks, and the presets to start from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from labeling import project_settings
from labeling.judging import criteria, presets
from labeling.models import Criterion
from labeling.models.criteria import LONGEST_KEY
from people import idempotency
from people.access import ADMINS, Refused, member
from people.forms import IdempotentForm
from people.models import Project


class CriterionForm(IdempotentForm):
    """A question: a new one, or one that changes."""

    question = forms.CharField(
        label=gettext_lazy("Question"),
        max_length=300,
        help_text=gettext_lazy("What labelers read: How helpful is the answer?"),
    )
    scope = forms.ChoiceField(
        label=gettext_lazy("Asked of"), choices=Criterion.Scope.choices, initial="answer"
    )
    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=Criterion.Kind.choices)
    labels = forms.CharField(
        label=gettext_lazy("Steps or choices"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text=gettext_lazy(
            "One per line. Of a scale from the lowest: a whole number, and a label if you like, as "
            "in “0: not at all”. Of a choice its texts. Of other kinds nothing."
        ),
    )
    required = forms.BooleanField(
        label=gettext_lazy("Required"),
        required=False,
        help_text=gettext_lazy("No ranking is taken without an answer, unless nobody can judge."),
    )
    name = forms.CharField(
        label=gettext_lazy("Key"),
        required=False,
        max_length=LONGEST_KEY,
        help_text=gettext_lazy(
            "Its name in datasets and in the API: letters, digits and hyphens. Empty: made of the "
            "question."
        ),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        try:
            cleaned["labels"] = criteria.labels_of(
                cleaned.get("kind", ""), cleaned.get("labels", "")
            )
        except Refused as error:
            self.add_error("labels", str(error))
        return cleaned

    def clean_name(self) -> str:
        given = self.cleaned_data["name"]
        if given and slugify(given) != given.lower().strip():
            raise forms.ValidationError(_("Use letters, digits and hyphens."))
        return slugify(given) or slugify(self.cleaned_data.get("question", ""))[:LONGEST_KEY]

    def said(self) -> dict[str, Any]:
        """What the criterion asks, without its key."""
        return {name: self.cleaned_data[name] for name in criteria.CHANGEABLE}


class ReasonForm(forms.Form):
    """The question why."""

    choices = forms.CharField(
        label=gettext_lazy("Reasons to choose from"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=gettext_lazy("One per line. Empty: the labeler writes the reason."),
    )


def of_project(request: HttpRequest) -> Any:
    return Criterion.objects.filter(project=request.project, preset="")


@member(*ADMINS)
@never_cache
def criterion_list(request: HttpRequest) -> HttpResponse:
    """What the project asks; the form asks one more thing."""
    form = CriterionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        key = form.cleaned_data["name"]

        def make() -> dict[str, int]:
            return {"pk": criteria.create(request.user, request.project, key=key, **form.said()).pk}

        if not key:
            form.add_error("name", _("Give it a key."))
        elif done(
            request, form, lambda: idempotency.once(request.user, form.cleaned_data["key"], make)
        ):
            messages.success(request, _("It is asked from now on."))
            return redirect("criteria", request.project.slug)
    return show(request, form)


@member(*ADMINS)
@never_cache
def criterion(request: HttpRequest, pk: int) -> HttpResponse:
    """One question, to change it."""
    row = get_object_or_404(of_project(request), pk=pk)
    said = {name: getattr(row, name) for name in criteria.CHANGEABLE}
    said["labels"] = criteria.labels_text(row.labels)
    form = CriterionForm(request.POST or None, initial=said)
    del form.fields["name"]
    if (
        request.method == "POST"
        and form.is_valid()
        and done(request, form, lambda: criteria.change(request.user, row, **form.said()))
    ):
        messages.success(request, _("The question is changed."))
        return redirect("criteria", request.project.slug)
    return render(
        request,
        "labeling/project/criterion.html",
        {"form": form, "criterion": row},
        status=422 if form.errors else 200,
    )


@member(*ADMINS)
@require_POST
def criterion_retire(request: HttpRequest, pk: int) -> HttpResponse:
    criteria.retire(request.user, get_object_or_404(of_project(request), pk=pk))
    messages.success(request, _("It is not asked any more. What was said stays."))
    return redirect("criteria", request.project.slug)


@member(*ADMINS)
@require_POST
def preset(request: HttpRequest) -> HttpResponse:
    """Ask exactly what a preset says."""
    chosen = presets.presets().get(request.POST.get("preset", ""))
    if chosen is None:
        messages.error(request, _("There is no such preset."))
        return redirect("criteria", request.project.slug)
    try:
        project_settings.ask(request.user, request.project, chosen)
    except Refused as error:
        messages.error(request, str(error))
    else:
        messages.success(
            request, _("The project asks what %(preset)s asks.") % {"preset": chosen.title}
        )
    return redirect("criteria", request.project.slug)


@member(*ADMINS)
@require_POST
def reason(request: HttpRequest) -> HttpResponse:
    """Ask why, of each ranking; what was asked so before changes."""
    form = ReasonForm(request.POST)
    before = of_project(request).filter(key=presets.REASON, retired_at=None).first()

    def ask() -> None:
        lines = form.cleaned_data["choices"].splitlines()
        fields = presets.reason([line.strip() for line in lines if line.strip()])
        if before:
            criteria.change(request.user, before, **fields)
        else:
            criteria.create(request.user, request.project, key=presets.REASON, **fields)

    if form.is_valid() and done(request, form, ask):
        messages.success(request, _("Each ranking needs a reason from now on."))
        return redirect("criteria", request.project.slug)
    return show(request, CriterionForm(), form)


def done(request: HttpRequest, form: forms.Form, action: Callable[[], Any]) -> bool:
    """Whether the action went through; what refused it is said at its field."""
    try:
        action()
    except Refused as error:
        at = {"key": "name"}.get(error.field, error.field)
        form.add_error(at if at in form.fields else None, str(error))
        return False
    return True


def show(
    request: HttpRequest, form: CriterionForm, reason_form: ReasonForm | None = None
) -> HttpResponse:
    rows = list(of_project(request).annotate(said=Count("scores")).order_by("key", "-revision"))
    project = Project.objects.select_related("rules").get(pk=request.project.pk)
    reason_form = reason_form or ReasonForm()
    context = {
        "form": form,
        "reason_form": reason_form,
        "rules": project.rules,
        "asked": [row for row in rows if row.retired_at is None],
        "retired": [row for row in rows if row.retired_at],
        "presets": presets.presets().items(),
    }
    wrong = form.errors or reason_form.errors
    return render(request, "labeling/project/criteria.html", context, status=422 if wrong else 200)
