"""Uploads: keep a file, show what an import of it would bring, and import it."""

from __future__ import annotations

import json
from pathlib import Path

from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from labeling import imports
from labeling.imports import saved_mappings, undo, uploads
from labeling.imports.forms import LABELS, UploadForm
from labeling.imports.mapping import paths
from labeling.imports.mapping_form import ConfirmPage
from labeling.imports.sources import MEANINGS, Source, verdicts
from labeling.models import ImportMapping
from modelops.models import Job
from modelops.stores import trees
from people import idempotency
from people.access import ADMINS, Refused, member
from people.forms import IdempotentForm
from people.request_limits import takes_upload


@takes_upload
@member(*ADMINS)
def upload(request: HttpRequest) -> HttpResponse:
    """Keep a file and have it checked; nothing is imported before somebody has seen the result."""
    form = UploadForm(request.POST or None, request.FILES or None, project=request.project)
    if request.method == "POST" and form.is_valid():
        key = form.cleaned_data["key"]
        result, new = idempotency.once(
            request.user, key, lambda: {"job": form.request_check(request.user, request.project).pk}
        )
        if not new:
            trees.remove(form.path)
        return redirect("prompts-confirm", request.project.slug, result["job"])
    context = {"form": form, "mappings": ImportMapping.objects.filter(project=request.project)}
    return render(
        request, "labeling/imports/upload.html", context, status=422 if form.errors else 200
    )


@member(*ADMINS)
def confirm(request: HttpRequest, pk: int) -> HttpResponse:
    """What a file would bring: its fields, its first rows, and a dry run's counts. Then look at it
    or check it otherwise, keep its mapping under a name, or import it.
    """
    job = import_or_404(request, pk)
    form = ConfirmPage(job, request.POST or None)
    if request.method == "POST" and form.is_valid():
        if form.only_looks or "save" in request.POST:
            if "save" in request.POST:
                save(request, form)
            form = ConfirmPage(job, recipe=job.recipe | form.chosen())
        else:
            if "check" not in request.POST:
                form.refuse_unread()
            if form.is_valid():
                return requested(request, form)
    context = check_context(job, form.choice.source) | {"form": form}
    return render(
        request, "labeling/imports/confirm.html", context, status=422 if form.errors else 200
    )


def requested(request: HttpRequest, form: ConfirmPage) -> HttpResponse:
    """The page of the check or the import that the form asks for."""
    again = "check" in request.POST
    key = form.cleaned_data["key"]
    result, _new = idempotency.once(
        request.user, key, lambda: {"job": form.request(request.user, dry_run=again).pk}
    )
    return redirect("prompts-confirm" if again else "job", request.project.slug, result["job"])


def save(request: HttpRequest, form: ConfirmPage) -> None:
    name = form.cleaned_data["save_as"]
    saved_mappings.save(request.user, request.project, name, form.new_table)
    messages.success(request, _("The mapping is kept as “%(name)s”.") % {"name": name})


@member(*ADMINS)
@require_POST
def mapping_delete(request: HttpRequest, pk: int) -> HttpResponse:
    saved = get_object_or_404(ImportMapping, project=request.project, pk=pk)
    saved_mappings.delete(request.user, saved)
    messages.success(request, _("Mapping %(name)s is deleted.") % {"name": saved.name})
    return redirect("prompts-upload", request.project.slug)


def check_context(job: Job, source: Source | None) -> dict:
    path, name = uploads.find(job.recipe), job.recipe.get("filename", "")
    check = job.result.get("check")
    return {
        "job": job,
        "rows": first_rows(path, source, name) if source and path.exists() else [],
        "gone": not path.exists(),
        "found": check,
        "steps": steps(check or {}),
        "verdicts": meanings(source) if source else [],
    }


def first_rows(path: Path, source: Source, name: str) -> list[dict]:
    """The first rows as they would come in, each with what stays behind of it."""
    return [
        {"row": row, "entries": entries, "error": error, "behind": behind(source, row.value)}
        for row, entries, error in imports.preview(path, source, name)
    ]


def behind(source: Source, value: object) -> list[tuple[str, str]]:
    """The fields of a row that do not come in, with what stands there."""
    return [
        (field.path, " · ".join(map(as_text, paths.values(value, paths.steps(field.path)))))
        for field in source.behind([value])
    ]


def as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def meanings(source: Source) -> list[dict]:
    """What each code of a winner is taken for."""
    return [
        {
            "path": verdict.path,
            "codes": [(code, MEANINGS[meaning]) for code, meaning in verdict.meanings],
        }
        for verdict in verdicts(source.mapping)
    ]


def steps(check: dict) -> list[dict]:
    """What each step of the cleaning came to, with its examples."""
    examples = check.get("examples", {})
    return [
        {"name": LABELS.get(name, name), "count": count, "examples": examples.get(name, [])}
        for name, count in check.get("cleaned", {}).items()
    ]


@member(*ADMINS)
@require_GET
def bad_rows(request: HttpRequest, pk: int) -> HttpResponse:
    """The rows that an import left out, each with the reason."""
    job = import_or_404(request, pk)
    path = imports.bad_rows(job)
    if path is None:
        raise Http404
    name = f"{request.project.slug}-job-{job.pk}-bad-rows.jsonl"
    return FileResponse(
        open(path, "rb"), as_attachment=True, filename=name, content_type="application/x-ndjson"
    )


@member(*ADMINS)
def undo_import(request: HttpRequest, pk: int) -> HttpResponse:
    """Says what would go with an import, and has a job undo it once that is confirmed."""
    imported = get_object_or_404(undo.of_project(request.project), pk=pk)
    form, why_not = IdempotentForm(request.POST if request.method == "POST" else None), ""
    try:
        if request.method == "POST" and form.is_valid():
            result, _new = idempotency.once(
                request.user,
                form.cleaned_data["key"],
                lambda: {"job": undo.request(request.user, request.project, imported).pk},
            )
            return redirect("job", request.project.slug, result["job"])
        undo.refuse(imported)
    except Refused as error:
        why_not = str(error)
    context = {
        "form": form,
        "job": imported,
        "why_not": why_not,
        "brought": undo.foresee(imported),
    }
    status = 409 if why_not and request.method == "POST" else 200
    return render(request, "labeling/imports/undo.html", context, status=status)


def import_or_404(request: HttpRequest, pk: int) -> Job:
    job = get_object_or_404(Job, project=request.project, kind=Job.Kind.IMPORT, pk=pk)
    if not job.recipe.get("path"):
        raise Http404
    return job
