"""Downloading datasets: files are made once, large ones by a job."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.exports import downloads, labeler_key, serving
from labeling.exports.downloads import NotOffered
from labeling.exports.formats import cell, json_lines
from labeling.models import Candidate
from labeling.views.dataset_rows import withheld
from labeling.views.datasets import back_to, of_project
from modelops import datasets
from modelops.models import Dataset, Job
from modelops.recipes import RenderRecipe
from modelops.views.jobs import STOP_POLLING
from modelops.views.waiting import Wait, wait_for
from people.access import ADMINS, READERS, member


@member(*READERS, archived=True)
@require_http_methods(["GET", "HEAD", "POST"])
def dataset_download(request: HttpRequest, pk: int) -> HttpResponse:
    """A file of the dataset. A large one is made by a job first, which a POST asks for."""
    dataset = get_object_or_404(of_project(request.project), pk=pk)
    recipe = recipe_or_404(dataset, request)
    try:
        if downloads.is_ready(dataset, recipe):
            return send_file(request, dataset, recipe)
        datasets.refuse_withdrawn(dataset)
    except datasets.Withheld as error:
        return withheld(request, dataset, error)
    if request.method == "POST":  # a second one finds the job of the first
        downloads.request(request.user, dataset, recipe)
        return redirect(request.get_full_path())
    return wait_for(request, downloads.latest_job(dataset, recipe), _wait(dataset, recipe))


def _wait(dataset: Dataset, recipe: RenderRecipe) -> Wait:
    return Wait(
        title=_("Download"),
        what=downloads.name_of(dataset, recipe),
        under_way=_("The file is being made"),
        not_yet=_("The file has to be made first"),
        failed=_("The file could not be made"),
        why=_("The file is large: a worker writes it once, then everybody can download it."),
        button=_("Make the file"),
        back=back_to(dataset),
    )


def recipe_or_404(dataset: Dataset, request: HttpRequest) -> RenderRecipe:
    """`?format=trl.parquet`: the format, and after a dot what file it comes in."""
    format, _dot, file = request.GET.get("format", "rows").partition(".")
    options = {
        name: request.GET[name]
        for name in ("split", "pairs", "judged", "weights")
        if request.GET.get(name)
    }
    switches = ("metadata", "bom", "formulas")
    options |= {name: True for name in switches if request.GET.get(name)}
    try:
        return downloads.choose(dataset, format, file, **options)
    except NotOffered as error:
        raise Http404(str(error)) from error


def send_file(request: HttpRequest, dataset: Dataset, recipe: RenderRecipe) -> HttpResponse:
    """The file itself, or to htmx, which waited for it, a link to it. Raises datasets.Withheld."""
    datasets.refuse_withdrawn(dataset)
    if request.method == "POST":
        return redirect(request.get_full_path())
    if request.htmx:
        return render(
            request,
            "labeling/exports/_download_ready.html",
            {"name": downloads.name_of(dataset, recipe)},
            status=STOP_POLLING,
        )
    try:
        return serving.answer(request, dataset, recipe)
    except serving.Busy:
        busy = render(
            request, "labeling/exports/download_busy.html", {"dataset": dataset}, status=503
        )
        busy["Retry-After"] = "60"
        return busy


@member(*ADMINS, archived=True)
@require_POST
def dataset_key(request: HttpRequest, pk: int) -> HttpResponse:
    """Whom the numbers of labelers stand for, as a table. That it was taken is recorded."""
    dataset = get_object_or_404(of_project(request.project), pk=pk)
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["labeler", "name", "e-mail"])
    table.writerows(
        [cell(value) for value in row] for row in labeler_key.export(request.user, dataset)
    )
    name = f"{request.project.slug}-{dataset.short}-labelers.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


@member(*ADMINS)
@require_GET
def job_answers(request: HttpRequest, pk: int) -> HttpResponse:
    """A sampling job's answers, one line each."""
    job = get_object_or_404(Job, project=request.project, pk=pk, kind=Job.Kind.SAMPLE)
    name = f"{request.project.slug}-job-{job.pk}-answers.jsonl"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(
        _lines(answers(job)), content_type="application/x-ndjson", headers=headers
    )


def _lines(items: Iterator[dict]) -> Iterator[bytes]:
    for item in items:
        line = io.BytesIO()
        json_lines([item], line)
        yield line.getvalue()


def answers(job: Job) -> Iterator[dict]:
    sampled = (
        Candidate.objects.filter(job=job)
        .select_related("prompt", "model_version")
        .order_by("prompt_id", "slot")
    )
    for answer in sampled.iterator(chunk_size=500):
        yield {
            "prompt_id": answer.prompt.digest,
            "messages": answer.prompt.messages,
            "split": answer.prompt.split,
            "slot": answer.slot,
            "text": answer.text,
            "model": answer.model_version.name,
            "finish_reason": answer.finish_reason,
            "tokens": answer.tokens,
            "duplicate": answer.duplicate,
            "truncated": answer.truncated,
        }
