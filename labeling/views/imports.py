"""Uploads: keep a file, show what an import of it would bring, and import it."""

from __future__ import annotations

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET

from labeling import imports
from labeling.imports import undo
from labeling.imports.forms import LABELS, ConfirmForm, UploadForm
from labeling.imports.uploads import discard
from modelops.models import Job
from people import idempotency
from people.access import ADMINS, Refused, member
from people.forms import Keyed
from people.request_limits import takes_upload


@takes_upload
@member(*ADMINS)
def upload(request: HttpRequest) -> HttpResponse:
    """Keep a file and have it checked; nothing is imported before somebody has seen the result."""
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        key = form.cleaned_data["key"]
        result, new = idempotency.once(
            request.user, key, lambda: {"job": form.request_check(request.user, request.project).pk}
        )
        if not new:
            discard(form.path)
        return redirect("prompts-confirm", request.project.slug, result["job"])
    return render(
        request, "labeling/imports/upload.html", {"form": form}, status=422 if form.errors else 200
    )


@member(*ADMINS)
def confirm(request: HttpRequest, pk: int) -> HttpResponse:
    """What a file would bring: its first rows, and a dry run's counts. Then check it otherwise, or
    import it.
    """
    job = import_or_404(request, pk)
    form = ConfirmForm(job, request.POST or None)
    if request.method == "POST" and form.is_valid():
        again = "check" in request.POST
        key = form.cleaned_data["key"]
        result, _new = idempotency.once(
            request.user, key, lambda: {"job": form.request(request.user, dry_run=again).pk}
        )
        return redirect("prompts-confirm" if again else "job", request.project.slug, result["job"])
    context = check_context(job) | {"form": form}
    return render(
        request, "labeling/imports/confirm.html", context, status=422 if form.errors else 200
    )


def check_context(job: Job) -> dict:
    path, name = settings.VAR / job.recipe["path"], job.recipe.get("filename", "")
    check = job.result.get("check")
    return {
        "job": job,
        "rows": imports.preview(path, job.recipe["format"], name) if path.exists() else [],
        "gone": not path.exists(),
        "found": check,
        "steps": steps(check or {}),
    }


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
    path = imports.bad_rows_of(settings.VAR / job.recipe["path"], job.pk)
    if not path.is_file():
        raise Http404
    name = f"{request.project.slug}-job-{job.pk}-bad-rows.jsonl"
    return FileResponse(
        open(path, "rb"), as_attachment=True, filename=name, content_type="application/x-ndjson"
    )


@member(*ADMINS)
def undo_import(request: HttpRequest, pk: int) -> HttpResponse:
    """Says what would go with an import, and has a job undo it once that is confirmed."""
    imported = get_object_or_404(undo.of_project(request.project), pk=pk)
    form, why_not = Keyed(request.POST if request.method == "POST" else None), ""
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
