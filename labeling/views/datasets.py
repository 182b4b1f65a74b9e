"""Datasets: look at them and take them home."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from labeling import export
from labeling.models import Candidate, DatasetRanking, Prompt
from modelops import datasets
from modelops.models import Dataset, Job, ModelVersion
from people.access import ADMINS, READERS, member
from people.models import Project


def of_project(project: Project):
    return Dataset.objects.filter(project=project).select_related("job__requested_by")


@member(*READERS)
@require_GET
def dataset_list(request: HttpRequest) -> HttpResponse:
    freezing = Job.objects.filter(
        project=request.project, kind=Job.Kind.FREEZE, state__in=[Job.State.QUEUED, Job.State.RUNNING]
    )
    found = of_project(request.project).annotate(models=Count("models_made")).order_by("-pk")
    return render(request, "labeling/datasets.html", {"datasets": found, "freezing": freezing})


@member(*READERS)
@require_GET
def dataset(request: HttpRequest, pk: int) -> HttpResponse:
    one = get_object_or_404(of_project(request.project), pk=pk)
    context = {
        "dataset": one,
        "rankings": DatasetRanking.objects.filter(dataset=one).count(),
        "models": ModelVersion.objects.filter(dataset=one).select_related("job").order_by("pk"),
        "downloads": export.formats_of(one),
        "splits": [
            (split, one.counts["splits"][split]) for split in Prompt.Split.values if split in one.counts["splits"]
        ],
    }
    return render(request, "labeling/dataset.html", context)


# Downloads


@member(*READERS)
@require_GET
def dataset_download(request: HttpRequest, pk: int) -> HttpResponse:
    one = get_object_or_404(of_project(request.project), pk=pk)
    format, split = request.GET.get("format", "rows"), request.GET.get("split", "")
    if format not in export.formats_of(one) or split not in ("", *Prompt.Split.values):
        raise Http404
    try:
        datasets.verify(one)
    except datasets.Withheld as error:
        return render(request, "labeling/withheld.html", {"dataset": one, "reason": str(error)}, status=410)
    kind = export.FORMATS[format]
    name = "-".join(part for part in (request.project.slug, one.short, split) if part)
    return attachment(kind.make(datasets.path(one), split), f"{name}.{kind.ending}", kind.content_type)


def attachment(chunks: Iterator[bytes], name: str, content_type: str) -> StreamingHttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(chunks, content_type=content_type, headers=headers)


@member(*ADMINS)
@require_GET
def job_answers(request: HttpRequest, pk: int) -> HttpResponse:
    """A sampling job's answers, one line each."""
    job = get_object_or_404(Job, project=request.project, pk=pk, kind=Job.Kind.SAMPLE)
    name = f"{request.project.slug}-job-{job.pk}-answers.jsonl"
    return attachment(export.json_lines(answers(job)), name, "application/x-ndjson")


def answers(job: Job) -> Iterator[dict]:
    sampled = Candidate.objects.filter(job=job).select_related("prompt", "model_version").order_by("prompt_id", "slot")
    for one in sampled.iterator(chunk_size=500):
        yield {
            "prompt_id": one.prompt.digest,
            "messages": one.prompt.messages,
            "split": one.prompt.split,
            "slot": one.slot,
            "text": one.text,
            "model": one.model_version.name,
            "finish_reason": one.finish_reason,
            "tokens": one.tokens,
        }
