"""Prompts from a text with slots and a table."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from labeling.imports import files, prompt_templates
from labeling.imports.forms import LABELS
from labeling.models import Prompt, PromptTemplate
from people import idempotency
from people.access import ADMINS, Refused, member
from people.forms import IdempotentForm
from people.request_limits import takes_upload

SHOWN = 5
SPLITS = [("", gettext_lazy("by author or conversation")), *Prompt.Split.choices]


class TemplateForm(IdempotentForm):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    text = forms.CharField(
        label=gettext_lazy("Text"),
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=gettext_lazy(
            "Slots in braces: Write a story titled {title} for {audience}. {{ and }} are braces."
        ),
    )


class FillForm(forms.Form):
    """A table, typed or as a file, whose columns are named like the slots."""

    table = forms.CharField(
        label=gettext_lazy("Table"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text=gettext_lazy(
            "CSV: a line with the names of the slots, then a line for each prompt."
        ),
    )
    file = forms.FileField(
        label=gettext_lazy("Or a file"),
        required=False,
        help_text=gettext_lazy("CSV, Excel, JSON Lines or Parquet."),
    )
    split = forms.ChoiceField(
        label=gettext_lazy("Split"),
        choices=SPLITS,
        required=False,
        initial=Prompt.Split.TRAIN,
        help_text=gettext_lazy(
            "One template's prompts are alike: in several splits, models would know the test."
        ),
    )

    def clean_file(self) -> UploadedFile | None:
        file = self.cleaned_data["file"]
        if file and file.size > settings.UPLOAD_LIMIT:
            limit = filesizeformat(settings.UPLOAD_LIMIT)
            raise forms.ValidationError(
                _("The file is larger than %(limit)s: split it.") % {"limit": limit}
            )
        return file

    def clean(self) -> dict:
        """The rows, at `rows`, and what reading them changed, at `changes`."""
        cleaned = super().clean()
        if self.errors:
            return cleaned
        content = (
            cleaned["file"].read()
            if cleaned["file"]
            else cleaned["table"].strip().encode(errors="replace")
        )
        cleaned["changes"] = files.Changes()
        try:
            cleaned["rows"] = prompt_templates.table(content, cleaned["changes"])
        except Refused as why:
            self.add_error("file" if cleaned["file"] else "table", str(why))
        return cleaned


@member(*ADMINS)
def templates(request: HttpRequest) -> HttpResponse:
    """The project's templates, and a form for another one."""
    form = TemplateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            result, _new = idempotency.once(
                request.user,
                form.cleaned_data["key"],
                lambda: {"template": create(request, form).pk},
            )
            return redirect("template", request.project.slug, result["template"])
        except Refused as why:
            form.add_error(why.field, str(why))
    project_templates = (
        PromptTemplate.objects.filter(project=request.project)
        .annotate(made=Count("rows"))
        .order_by("name")
    )
    context = {"form": form, "templates": project_templates}
    return render(
        request,
        "labeling/imports/prompt_templates.html",
        context,
        status=422 if form.errors else 200,
    )


def create(request: HttpRequest, form: TemplateForm) -> PromptTemplate:
    return prompt_templates.create(request.user, request.project, **form.values())


@takes_upload
@member(*ADMINS)
def template_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Fill a template: see what a table would make of it, then make it."""
    template = template_or_404(request, pk)
    form = FillForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid() and "make" in request.POST:
        # outside a receipt, whose transaction would hold up everybody else: the same rows again add
        # nothing
        tell_changes(request, form)
        rows, split = form.cleaned_data["rows"], form.cleaned_data["split"]
        try:
            return filled_message(
                request, prompt_templates.make(request.user, template, rows, split)
            )
        except Refused as why:
            form.add_error("table", str(why))
    rows = form.cleaned_data.get("rows") if form.is_bound and form.is_valid() else None
    filled = prompt_templates.fill(template, rows) if rows else None
    if rows:
        tell_changes(request, form)
    slots = prompt_templates.slots(template.text)
    context = {"template": template, "slots": slots, "form": form, "found": filled, "shown": SHOWN}
    context |= {
        "made": template.rows.count(),
        "kept": bool(filled) and not form.cleaned_data["file"],
    }
    return render(
        request,
        "labeling/imports/prompt_template.html",
        context,
        status=422 if form.errors else 200,
    )


def tell_changes(request: HttpRequest, form: FillForm) -> None:
    """Say what was converted, replaced or ignored while the table was read."""
    for name, count in form.cleaned_data["changes"].counts.items():
        messages.info(request, f"{LABELS[name]}: {count}")


def filled_message(request: HttpRequest, filled: prompt_templates.Filled) -> HttpResponse:
    made = ngettext("%(n)s prompt is made.", "%(n)s prompts are made.", filled.new) % {
        "n": filled.new
    }
    messages.success(request, made)
    if filled.refused:
        first = "; ".join(
            _("row %(place)s %(why)s") % {"place": p, "why": why}
            for p, why in filled.refused[:SHOWN]
        )
        messages.warning(
            request,
            _("%(n)s rows were left out: %(first)s") % {"n": len(filled.refused), "first": first},
        )
    return redirect("prompts", request.project.slug)


@member(*ADMINS)
@require_POST
def template_delete(request: HttpRequest, pk: int) -> HttpResponse:
    template = template_or_404(request, pk)
    try:
        prompt_templates.delete(request.user, template)
    except Refused as why:
        messages.error(request, str(why))
        return redirect("template", request.project.slug, pk)
    messages.success(request, _("Template %(name)s is deleted.") % {"name": template.name})
    return redirect("templates", request.project.slug)


def template_or_404(request: HttpRequest, pk: int) -> PromptTemplate:
    return get_object_or_404(
        PromptTemplate.objects.select_related("project"), project=request.project, pk=pk
    )
